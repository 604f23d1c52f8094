"""The Dagster resource that gives a run its work: the batch of its tag, or one it makes itself.

A sensor's run carries `cixml/batch`. A run from the UI or a backfill makes its own: `raw_pages` takes the documents due
for refresh, the other assets what lacks chunks or vectors. What is done already is not asked for again, so every run
may be killed and repeated.
"""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cached_property
from typing import Any
from uuid import UUID

import dagster as dg
from pydantic import PrivateAttr

from resources import fail_points
from resources.errors import ConfigurationError, DatabaseUnavailableError, LeaseLostError
from resources.orchestration import progress, tags
from resources.orchestration.lease import Lease, observe
from resources.orchestration.runtime import Runtime, runtime
from resources.postgres import batches, claims, index_builds, items, promotions, traced
from resources.postgres.batches import IndexVersion
from resources.postgres.index_builds import IndexBuild
from resources.postgres.promotions import REFERENCE_DIMENSION
from resources.telemetry import metrics
from resources.types import Corpus

DRAIN_SECONDS = 30.0
DRAIN_LOOK_SECONDS = 0.25
_open_works: dict[str, RunWork] = {}
logger = logging.getLogger("cixml.work")


class RunWork:
    """The leases of one run: the batch it was started for, the index version to fill, one per model of a backfill, the
    index of a promotion."""

    def __init__(self, run: dg.DagsterRun, parts: Runtime) -> None:
        self._run = run
        self._parts = parts
        self._leases: dict[str | None, Lease] = {}
        self._build: IndexBuild | None = None
        self._inside = ExitStack()
        batch_id = run.tags.get(tags.BATCH)
        if batch_id is not None:
            self._begin(UUID(batch_id))

    @property
    def parts(self) -> Runtime:
        return self._parts

    @property
    def is_ingest(self) -> bool:
        """Return whether the sensor started the run, for submitted pages."""
        return tags.BATCH in self._run.tags

    @property
    def fills(self) -> bool:
        """Return whether the run was started for an index version that does not serve."""
        return tags.INDEX_VERSION in self._run.tags

    def ingest(self, *, refresh_all: bool) -> Lease | None:
        """Return the lease of the items to fetch; a run without a batch makes one of the documents due, or has none."""
        if not self._leases:
            self._open_refresh(refresh_all)
        return self._leases.get(None)

    def of_model(self, model: str | None) -> tuple[Lease, IndexVersion]:
        """Return the lease of what `model` (None: the serving one) has to work on, and the index version it fills."""
        if (opened := self.build_of_run()) is not None:
            return opened
        lease = self._leases.get(None)
        if lease is not None and (model is None or lease.batch.serving.is_of(model)):
            return lease, lease.batch.serving
        index = self._index(model)
        if model not in self._leases:
            self._leases[model] = self._open_backfill(index)
        return self._leases[model], index

    def serving(self) -> tuple[Corpus, IndexVersion]:
        """Return the run's corpus and the index version that answers its searches."""
        return self._corpus, self._index(None)

    def build_of_run(self) -> tuple[Lease, IndexBuild] | None:
        """Return the lease of the index version that the run was started for; None for any other run.

        Raises LeaseLostError when it was given up meanwhile.
        """
        index_version_id = self._run.tags.get(tags.INDEX_VERSION)
        if index_version_id is None:
            return None
        if self._build is None:
            self._build = self._open_build(UUID(index_version_id))
        return self._leases[f"index {index_version_id}"], self._build

    def build(self) -> tuple[Lease, IndexVersion] | None:
        """Return the lease of the index that waits to be built; None: there is none, or another run builds it."""
        settings = self._parts.settings.pipeline
        with self._parts.database.transaction() as connection:
            opened = promotions.open_build(
                connection, corpus_id=self._corpus.id, run_id=self._run.run_id, lease_seconds=settings.lease_seconds
            )
            if opened is None:
                return None
            index = promotions.index_version(connection, index_version_id=opened.index_version_id)
        lease = self._leases[f"index {opened.index_version_id}"] = self._lease(opened.batch_id)
        return lease, index

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Do what comes after the stages of pages inside a span of the run; a run without a lease has no trace."""
        lease = next(iter(self._leases.values()), None)
        return lease.trace.stage(name) if lease else nullcontext()

    def close(self) -> None:
        """End every batch of the run, also after one failed to: its thread would renew the lease for ever."""
        with self._inside, ExitStack() as leases:
            while self._leases:
                leases.callback(self._leases.popitem()[1].close)

    def leave(self) -> None:
        """Give everything back at once, from another thread: the process is about to end.

        What can't be given back is lifeline's: its lease is lost already, or ends soon.
        """
        database = self._parts.new_database()
        for lease in list(self._leases.values()):
            try:
                lease.leave(database)
            except (LeaseLostError, DatabaseUnavailableError) as error:
                logger.warning("batch %s is not given back: %s", lease.batch.batch_id, error)
        database.close()

    def _begin(self, batch_id: UUID) -> None:
        settings = self._parts.settings.pipeline
        with self._parts.database.transaction() as connection:
            waited = batches.begin(
                connection, batch_id=batch_id, run_id=self._run.run_id, lease_seconds=settings.lease_seconds
            )
            ended = items.end_cancelled(connection, batch_id=batch_id)
        for seconds in waited:
            metrics.fairshare_wait_seconds.observe(seconds)
        observe(ended)
        fail_points.reach(fail_points.BATCH_BEGUN)
        lease = self._leases[None] = self._lease(batch_id)
        self._inside.enter_context(lease.trace.inside())

    def _open_refresh(self, refresh_all: bool) -> None:
        settings = self._parts.settings.pipeline
        corpus = self._corpus
        with self._parts.database.transaction() as connection:
            claims.lock_claims(connection)
            batch_id = batches.open_refresh(
                connection,
                corpus_id=corpus.id,
                run_id=self._run.run_id,
                older_than_seconds=0.0 if refresh_all else settings.refresh_after_seconds,
                limit=settings.refresh_items,
                lease_seconds=settings.lease_seconds,
            )
        if batch_id is not None:
            self._leases[None] = self._lease(batch_id)

    def _open_build(self, index_version_id: UUID) -> IndexBuild:
        self._wait_for_ingest()
        with self._parts.database.transaction() as connection:
            build = index_builds.read(connection, index_version_id=index_version_id)
        self._leases[f"index {index_version_id}"] = self._open_backfill(build, caused_by=build.traceparent)
        return build

    def _wait_for_ingest(self) -> None:
        """Let the pages in that were begun before the corpus was held, as far as they come soon."""
        until = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < until:
            with self._parts.database.transaction() as connection:
                if not index_builds.waits_for_ingest(connection, corpus_id=self._corpus.id):
                    return
            progress.mark()
            time.sleep(DRAIN_LOOK_SECONDS)

    def _open_backfill(self, index: IndexVersion, *, caused_by: str | None = None) -> Lease:
        settings = self._parts.settings.pipeline
        with self._parts.database.transaction() as connection:
            index_builds.ensure_relation(connection, index=index)
            batch_id = batches.open_backfill(
                connection,
                corpus_id=self._corpus.id,
                run_id=self._run.run_id,
                index=index,
                lease_seconds=settings.lease_seconds,
            )
        return self._lease(batch_id, caused_by=caused_by)

    def _index(self, model: str | None) -> IndexVersion:
        """Return the index version that `model` fills; a new model gets a `building` one beside the serving one."""
        corpus = self._corpus
        with self._parts.database.transaction() as connection:
            serving = batches.serving_index(connection, corpus_id=corpus.id)
            if model is None or serving.is_of(model):
                return serving
            if self.is_ingest:
                raise LeaseLostError(f"the corpus is served by {serving.model} now, the run was started for {model}")
            if (found := batches.index_of_model(connection, corpus_id=corpus.id, model=model)) is not None:
                return found
            window = self._parts.registry.get(model).max_tokens
            if serving.as_chunking.max_tokens > window:
                raise ConfigurationError(
                    f"{model} takes {window} tokens, the chunks of {corpus.partition_key} have up to "
                    f"{serving.as_chunking.max_tokens}: cut the corpus smaller first"
                )
            numbers = self._parts.settings.search.promote_rows * REFERENCE_DIMENSION
            return batches.create_building(
                connection, corpus_id=corpus.id, model=model, like=serving, exact_numbers=numbers
            )

    def _lease(self, batch_id: UUID, *, caused_by: str | None = None) -> Lease:
        with self._parts.database.transaction() as connection:
            batch = batches.facts(connection, batch_id=batch_id)
            items_traced = traced.items(connection, batch_ids=[batch_id])
        return Lease(
            batch,
            self._run.run_id,
            database=self._parts.database,
            heartbeat=self._parts.new_database(),
            settings=self._parts.settings.pipeline,
            traced=items_traced,
            caused_by=caused_by,
        )

    @cached_property
    def _corpus(self) -> Corpus:
        partition_key = self._run.tags.get(tags.PARTITION)
        if partition_key is None:
            raise ConfigurationError("a run works on one corpus: start it for one partition, not for a range")
        with self._parts.database.transaction() as connection:
            return batches.corpus_of_partition(connection, partition_key=partition_key)


class WorkResource(dg.ConfigurableResource[Any]):
    """Opens the run's work before its first step, closes it after its last."""

    _run_id: str = PrivateAttr(default="")

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        run = context.run
        if run is None:
            raise ConfigurationError("the work resource needs a Dagster run")
        self._run_id = run.run_id
        _open_works[run.run_id] = RunWork(run, runtime())

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        work = _open_works.pop(self._run_id, None)
        if work is not None:
            work.close()

    @property
    def of_run(self) -> RunWork:
        return work_of(self._run_id)


def leave_all() -> None:
    """Give back the work of every run of this process, which is about to end."""
    for work in list(_open_works.values()):
        work.leave()


def work_of(run_id: str) -> RunWork:
    """Return the open work of a run of this process: IO managers are built apart from the assets' resources."""
    return _open_works[run_id]
