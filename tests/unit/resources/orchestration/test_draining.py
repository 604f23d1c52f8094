from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from resources.orchestration import draining


@pytest.fixture(autouse=True)
def _not_draining_afterwards() -> Iterator[None]:
    yield
    draining._since[:] = bytes(8)


def test_nothing_is_given_back_before_the_stop_nor_at_once_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert draining.seconds() == 0
    draining.begin()
    assert not draining.is_time_to_give_back()
    monkeypatch.setattr(draining, "FINISH_SECONDS", -1.0)
    assert draining.is_time_to_give_back()
    assert not draining.is_time_to_leave()


def test_a_forked_child_hears_of_the_stop() -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        while draining.seconds() == 0:
            pass
        os.write(write, b"heard")
        os._exit(0)
    draining.begin()
    os.waitpid(pid, 0)
    assert os.read(read, 5) == b"heard"
