"""The stack itself: every process, each started again after its death, and what they log."""

from __future__ import annotations

import json
import urllib.request

from cixml.embedded import supervisor
from cixml.embedded.processes import NAMES
from cixml.embedded.state import load_kept
from tests.stack import Stack, descendants, poll

LAST_WORDS = ("", "worker: Warm shutdown (MainProcess)")
"""What Celery writes past every logger when it is told to stop, as other tests on this stack do."""


def test_the_whole_stack_shows_every_process_below_its_supervisor(stack: Stack) -> None:
    poll(lambda: stack.status().state == "running", "the whole stack", timeout_seconds=60)
    found = stack.status()
    assert [process.name for process in found.processes] == [name for name in NAMES if name != "embedding"]
    assert found.supervisor_pid is not None
    assert {process.pid for process in found.processes} <= descendants(found.supervisor_pid)


def test_a_new_key_is_valid_at_once(stack: Stack) -> None:
    with stack.client() as client:
        assert client._call("GET", "/v1/corpora")["content"] == []


def test_every_process_comes_back_after_a_kill(stack: Stack) -> None:
    for process in stack.status().processes:
        before = supervisor.count_restarts(stack.home, process.name)
        stack.kill(process.name)
        poll(lambda n=process.name, b=before: supervisor.count_restarts(stack.home, n) > b, process.name)
    poll(lambda: stack.status().state == "running", "the whole stack", timeout_seconds=60)
    url = f"{stack.status().api_url}/readyz"
    poll(lambda: _is_ready(url), "readiness", timeout_seconds=90)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_every_line_of_every_process_is_json_and_holds_no_secret(stack: Stack) -> None:
    kept = load_kept(stack.home).model_dump()
    secrets = [value for name, value in kept.items() if name.endswith(("password", "key", "pepper"))]
    assert len(secrets) > 5
    services = set()
    for name in set(NAMES) - {"postgres", "redis", "embedding"}:
        for line in (stack.home.logs / f"{name}.log").read_text().splitlines():
            if name == "worker" and line in LAST_WORDS:
                continue
            record = json.loads(line)
            assert record.keys() >= {"time", "level", "service", "logger", "message", "trace_id", "span_id", "job_id"}
            services.add(record["service"])
            assert not [secret for secret in secrets if secret in line]
    assert services >= {"cixml-api", "cixml-daemon", "cixml-code-server", "cixml-webserver"}
