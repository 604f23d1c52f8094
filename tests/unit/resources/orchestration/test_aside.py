"""Work beside a loop: one piece at a time, and an error comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from resources.orchestration.aside import Aside

SECONDS = 10


@pytest.fixture
def aside() -> Iterator[Aside]:
    with closing(Aside("cixml-test")) as found:
        yield found


def go_on(aside: Aside, done: threading.Event) -> None:
    """Ask for `done` as a loop does, until it was: the thread may still be on its way out of what it did before."""
    deadline = time.monotonic() + SECONDS
    while not done.wait(0.01) and time.monotonic() < deadline:
        aside.do(done.set)


def test_what_comes_while_it_is_busy_is_not_begun(aside: Aside) -> None:
    begun, may_end, done = threading.Event(), threading.Event(), threading.Event()

    def long() -> None:
        begun.set()
        assert may_end.wait(SECONDS)

    def other() -> None:
        raise AssertionError("it was begun")

    aside.do(long)
    assert begun.wait(SECONDS)
    aside.do(other)
    may_end.set()
    go_on(aside, done)
    assert done.is_set()


def test_an_error_comes_back_once_with_the_next_piece(aside: Aside) -> None:
    failed, done = threading.Event(), threading.Event()

    def fail() -> None:
        failed.set()
        raise ValueError("x")

    aside.do(fail)
    assert failed.wait(SECONDS)
    with pytest.raises(ValueError, match="x"):
        go_on(aside, done)
    go_on(aside, done)
    assert done.is_set()


def test_closing_waits_for_what_is_under_way() -> None:
    aside, begun, done = Aside("cixml-test"), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert not done.wait(0.05)
        done.set()

    aside.do(work)
    assert begun.wait(SECONDS)
    aside.close()
    assert done.is_set()
