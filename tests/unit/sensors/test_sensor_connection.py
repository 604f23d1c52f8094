from __future__ import annotations

import threading

import pytest

from sensors import submitted_jobs


class _Runtime:
    def new_database(self) -> object:
        return object()


def test_each_thread_of_the_sensors_has_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitted_jobs, "runtime", _Runtime)
    found: dict[str, list[object]] = {}

    def ask(name: str) -> None:
        found[name] = [submitted_jobs._database(), submitted_jobs._database()]

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found["a"][0] is found["a"][1]
    assert found["b"][0] is found["b"][1]
    assert found["a"][0] is not found["b"][0]
