"""The text of GET /metrics, from one process and from several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from resources.settings import PROJECT_ROOT
from resources.telemetry import metrics
from resources.telemetry.metrics import StateCollector, build_registry, exposition

COUNTING = """
import sys
from resources.telemetry import metrics
metrics.tokens_used.labels("m", "write").inc(int(sys.argv[1]))
metrics.stage_duration_seconds.labels("scraping").observe(0.2)
"""
READING = """
import sys
from resources.telemetry.metrics import build_registry, exposition, is_multiprocess
assert is_multiprocess()
sys.stdout.write(exposition(build_registry()).decode())
"""


def test_a_counter_of_this_process_is_in_the_text() -> None:
    metrics.fetch.labels("ok").inc()
    text = exposition(build_registry()).decode()
    assert 'cixml_fetch_total{outcome="ok"}' in text
    assert "openai_tokens_used_total" in text


def test_states_are_read_at_each_scrape() -> None:
    states = {"all-MiniLM-L6-v2": "closed"}
    registry = build_registry(StateCollector(breakers=lambda: states, queue=lambda: {"scraping": (7, 12.5)}))
    assert 'cixml_breaker_state{dependency="all-MiniLM-L6-v2"} 0.0' in exposition(registry).decode()
    states["all-MiniLM-L6-v2"] = "open"
    text = exposition(registry).decode()
    assert 'cixml_breaker_state{dependency="all-MiniLM-L6-v2"} 2.0' in text
    assert 'cixml_queue_depth{stage="scraping"} 7.0' in text
    assert 'cixml_queue_oldest_seconds{stage="scraping"} 12.5' in text


def test_several_processes_share_one_answer(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(PROJECT_ROOT)}

    def run(code: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    run(COUNTING, "3")
    run(COUNTING, "4")
    text = run(READING)
    assert 'openai_tokens_used_total{model="m",operation="write"} 7.0' in text
    assert 'cixml_stage_duration_seconds_count{stage="scraping"} 2.0' in text


def test_no_metric_has_a_caller_a_url_or_a_corpus_as_label() -> None:
    named = [each for each in vars(metrics).values() if hasattr(each, "_labelnames")]
    assert len(named) > 10
    labels = {label for each in named for label in each._labelnames}
    assert labels <= {
        "model",
        "operation",
        "result",
        "code",
        "stage",
        "outcome",
        "change",
        "mode",
        "phase",
        "part",
        "kind",
        "policy",
        "layer",
    }
