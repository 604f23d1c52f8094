"""Runs that are asked for again until their work is done: one of each at a time, so many in all, failures ever rarer.

What rests after a failure keeps nothing else waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

MOST_AT_ONCE = 20
"""Runs of one sensor that wait in Dagster's queue or work."""
MOST_ATTEMPTS_READ = 10
RETRY_SECONDS = 30.0
RETRY_CAP_SECONDS = 3600.0


class Due(Protocol):
    """What is to be worked on, by its index version."""

    @property
    def index_version_id(self) -> UUID: ...


D = TypeVar("D", bound=Due)
Request = Callable[[D, str], dg.RunRequest]
"""Makes the run request after the attempt of this run id, `first` for none: run keys are remembered for ever."""


def next_attempts(
    instance: DagsterInstance,
    due: Iterable[D],
    *,
    tag: str,
    request: Request[D],
    now: float,
    goes_on_after_success: bool,
) -> list[dg.RunRequest]:
    """Return the next attempts, so that MOST_AT_ONCE are under way.

    `goes_on_after_success`: a run that ended well and left something to do is followed by the next at once.
    """
    found: list[dg.RunRequest] = []
    under_way = 0
    for each in due:
        if len(found) + under_way >= MOST_AT_ONCE:
            break
        attempts = instance.get_run_records(
            RunsFilter(tags={tag: str(each.index_version_id)}), limit=MOST_ATTEMPTS_READ
        )
        if any(not attempt.dagster_run.is_finished for attempt in attempts):
            under_way += 1
        elif not _rests(_counted(attempts, goes_on_after_success), now):
            found.append(request(each, attempts[0].dagster_run.run_id if attempts else "first"))
    return found


def _counted(attempts: Sequence[RunRecord], goes_on_after_success: bool) -> Sequence[RunRecord]:
    """Return the attempts that make the next one rest."""
    if not goes_on_after_success:
        return attempts
    for number, attempt in enumerate(attempts):
        if attempt.dagster_run.status == DagsterRunStatus.SUCCESS:
            return attempts[:number]
    return attempts


def _rests(attempts: Sequence[RunRecord], now: float) -> bool:
    """Return whether it is too early for another attempt: each one doubles the pause."""
    if not attempts:
        return False
    pause = min(RETRY_CAP_SECONDS, RETRY_SECONDS * 2.0 ** (len(attempts) - 1))
    return now - attempts[0].update_timestamp.timestamp() < pause
