"""The text of GET /metrics: from one process, from several, and of those that are gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from resources.settings import PROJECT_ROOT
from resources.telemetry import metrics
from resources.telemetry.exposition import add_up_dead, build_registry, exposition
from resources.telemetry.state_gauges import StateCollector

COUNTING = """
import sys
from resources.telemetry import metrics
metrics.tokens_used.labels("m", "write").inc(int(sys.argv[1]))
metrics.stage_duration_seconds.labels("scraping").observe(0.2)
if len(sys.argv) > 2:
    print("counted", flush=True)
    sys.stdin.read()
"""
READING = """
import sys
from resources.telemetry.exposition import build_registry, exposition, is_multiprocess
assert is_multiprocess()
sys.stdout.write(exposition(build_registry()).decode())
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(PROJECT_ROOT)}


def run(environment: dict[str, str], code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_counter_of_this_process_is_in_the_text() -> None:
    metrics.fetch.labels("200", "none").inc()
    text = exposition(build_registry()).decode()
    assert 'cixml_fetch_total{cache="none",outcome="200"}' in text
    assert "openai_tokens_used_total" in text


def test_a_gauge_of_state_is_in_the_text_and_what_is_not_known_is_not() -> None:
    text = exposition(
        build_registry(StateCollector({"cixml_queue_depth": {"scraping": 7}, "cixml_items_in_work": {"": 3}}))
    ).decode()
    assert 'cixml_queue_depth{stage="scraping"} 7.0' in text
    assert "cixml_items_in_work 3.0" in text
    assert "cixml_redis_memory_bytes" not in text


def test_several_processes_share_one_answer(environment: dict[str, str]) -> None:
    run(environment, COUNTING, "3")
    with subprocess.Popen(
        [sys.executable, "-c", COUNTING, "4", "stay"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as living:
        assert living.stdout
        living.stdout.readline()
        text = run(environment, READING)
        assert living.stdin
        living.stdin.close()
    assert 'openai_tokens_used_total{model="m",operation="write"} 7.0' in text
    assert 'cixml_stage_duration_seconds_count{stage="scraping"} 2.0' in text


def test_what_dead_processes_counted_stays_in_one_file(environment: dict[str, str], tmp_path: Path) -> None:
    for tokens in ("3", "4"):
        run(environment, COUNTING, tokens)
    assert len(list(tmp_path.glob("counter_*.db"))) == 2
    text = run(environment, READING)
    assert {path.name for path in tmp_path.iterdir()} == {"counter_0-1.db", "histogram_0-1.db"}
    run(environment, COUNTING, "5")
    again = run(environment, READING)
    assert {path.name for path in tmp_path.iterdir()} == {"counter_0-2.db", "histogram_0-2.db"}
    assert 'openai_tokens_used_total{model="m",operation="write"} 7.0' in text
    assert 'openai_tokens_used_total{model="m",operation="write"} 12.0' in again
    assert 'cixml_stage_duration_seconds_bucket{le="0.2",stage="scraping"} 3.0' in again


def test_a_file_that_a_dying_process_left_empty_goes(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / f"counter_{gone.pid}.db").touch()
    add_up_dead(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["counter_0-1.db"]


class Killed(BaseException):
    """Ends the process, as far as its files know."""


def test_a_kill_at_any_step_counts_nothing_twice_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {"steps": 0}

    def dying(name: str) -> None:
        real = getattr(Path, name)

        def step(path: Path, *given: object, **more: object) -> object:
            if left["steps"] == 0:
                raise Killed
            left["steps"] -= 1
            return real(path, *given, **more)

        monkeypatch.setattr(Path, name, step)

    def counted_by_the_dead(folder: Path, amount: float) -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        file = MmapedDict(str(folder / f"counter_{gone.pid}.db"))  # type: ignore[no-untyped-call]
        file.write_value("key", amount, 0.0)  # type: ignore[no-untyped-call]
        file.close()  # type: ignore[no-untyped-call]

    for name in ("rename", "unlink"):
        dying(name)
    kills = 0
    for steps in range(50):
        folder = tmp_path / str(steps)
        folder.mkdir()
        left["steps"] = 1000
        counted_by_the_dead(folder, 1)
        add_up_dead(folder)
        for amount in (10, 100):
            counted_by_the_dead(folder, amount)
        left["steps"] = steps
        try:
            add_up_dead(folder)
        except Killed:
            kills += 1
        left["steps"] = 1000
        counted_by_the_dead(folder, 1000)
        add_up_dead(folder)
        [sums] = folder.iterdir()
        assert [value for _, value, _, _ in MmapedDict.read_all_values_from_file(str(sums))] == [1111], steps  # type: ignore[no-untyped-call]
    assert 5 <= kills < 50
