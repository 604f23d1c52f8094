"""What a system under measurement offers: the product and the yardstick are measured by the same code."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.errors import BenchmarkError

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One submission that ended, with what its caller saw. `searchable_seconds`: until another connection saw the
    commit that made its last page searchable. `failed`: items by their error's code.
    """

    submission: str
    status: str
    failed: dict[str, int]
    posted_seconds: float
    searchable_seconds: float
    answered_seconds: float
    job: Json


class System(Protocol):
    """A running system."""

    @property
    def name(self) -> str: ...

    def groups(self) -> dict[str, int]:
        """Return the pid of each of its processes by name; descendants belong to them."""
        ...

    def run_job(self, corpus: str, urls: Sequence[str], *, poll_seconds: float, timeout_seconds: float) -> Outcome:
        """Submit the URLs at once and wait until all have ended."""
        ...

    def submit(self, corpus: str, urls: Sequence[str]) -> str:
        """Submit the URLs at once and return the submission's id. Safe in threads."""
        ...

    def open_submissions(self, submissions: Sequence[str]) -> int:
        """Return how many of these have pages that have not ended."""
        ...

    def failures(self, submissions: Sequence[str]) -> dict[str, int]:
        """Return how many pages of these failed, by code."""
        ...

    def search(self, corpus: str, query: str, *, top_k: int) -> int:
        """Search as a caller does and return the number of results. Safe in threads."""
        ...

    def settle(self, outcome: Outcome, *, timeout_seconds: float) -> str:
        """Wait until the index of the submission's corpus is what it will be. Return its kind."""
        ...

    def job_facts(self, outcome: Outcome) -> Json:
        """Return what only this system can say about a submission."""
        ...


def wait_until(is_so: Callable[[], bool], what: str, *, poll_seconds: float, timeout_seconds: float) -> None:
    """Poll until it is so. Raises BenchmarkError that says what did not happen."""
    deadline = time.monotonic() + timeout_seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{what} in {timeout_seconds:.0f} s")
        time.sleep(poll_seconds)
