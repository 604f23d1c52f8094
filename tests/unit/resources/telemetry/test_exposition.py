"""The text of GET /metrics: from one process, from several, and of those that are gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert {path.name for path in tmp_path.iterdir()} == {"counter_0.db", "histogram_0.db"}
    run(environment, COUNTING, "5")
    again = run(environment, READING)
    assert {path.name for path in tmp_path.glob("*_*.db")} == {"counter_0.db", "histogram_0.db"}
    assert 'openai_tokens_used_total{model="m",operation="write"} 7.0' in text
    assert 'openai_tokens_used_total{model="m",operation="write"} 12.0' in again
    assert 'cixml_stage_duration_seconds_bucket{le="0.2",stage="scraping"} 3.0' in again


def test_a_file_that_a_dying_process_left_empty_goes(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / f"counter_{gone.pid}.db").touch()
    add_up_dead(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["counter_0.db"]
