"""The graph of an index version that is filled: built over most of its vectors while the last ones are embedded.

A build takes a core a sixth of the time that the embedding server takes, which would stand still at the end. What is
stored after its begin stands beside the graph, and is little enough to be merged into it in a quiet moment.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from resources.orchestration.graphs import build_graph
from resources.orchestration.lease import Lease
from resources.orchestration.runtime import Runtime
from resources.postgres import index_builds, promotions
from resources.postgres.batches import IndexVersion
from resources.postgres.recall import Recall

LATE_SHARE = 0.09
"""Of a version's texts are embedded meanwhile: less than is merged into a graph (graph_upkeep.MOST_MERGED)."""


class EarlyGraph:
    """For one thread. Used as a context, at whose end no build is under way any more."""

    def __init__(self, parts: Runtime, lease: Lease, index: IndexVersion, *, texts: int, missing: int) -> None:
        """`texts` the version has in all, of which `missing` have no vector yet."""
        self._parts = parts
        self._lease = lease
        self._index = index
        self._missing = missing
        self._late = int(LATE_SHARE * texts)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cixml-graph")
        self._built: Future[Recall | None] | None = None

    def __enter__(self) -> EarlyGraph:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def stored(self, texts: int) -> None:
        """Note vectors as stored; before the last ones the build begins. Where no more were missing, it does not."""
        before, self._missing = self._missing, self._missing - texts
        if self._missing <= self._late < before:
            self._built = self._thread.submit(self._build)

    def result(self) -> Recall | None:
        """Wait for the build, and return what it finds; None where there was none. Raises what it raised."""
        return self._built.result() if self._built else None

    def _build(self) -> Recall | None:
        database = self._parts.new_database()
        try:
            lease = self._lease.beside(database)
            with lease.reading() as connection:
                if index_builds.has_graph(connection, index=self._index):  # a run before came so far
                    return None
                rows = promotions.count(connection, index=self._index)
            return build_graph(self._parts, lease, self._index, rows=rows)
        finally:
            database.close()
