"""Tells on an index version what its fill failed for: who asked for it sees no runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from resources.errors import CixmlError, DatabaseUnavailableError, LeaseLostError
from resources.orchestration.lease import Lease
from resources.postgres import index_builds
from resources.postgres.batches import IndexVersion


@contextmanager
def errors_noted(lease: Lease, index: IndexVersion) -> Iterator[None]:
    """Note what goes wrong in the block on the version that is filled. What no repetition mends ends it."""
    try:
        yield
    except (LeaseLostError, DatabaseUnavailableError):
        raise
    except CixmlError as error:
        if lease.is_backfill and index.state != "serving":
            tell = index_builds.note_error if error.retryable else index_builds.refuse
            record = {"code": error.code, "retryable": error.retryable, "detail": error.message}
            with lease.transaction() as connection:
                tell(connection, index_version_id=index.index_version_id, error=record)
        raise
