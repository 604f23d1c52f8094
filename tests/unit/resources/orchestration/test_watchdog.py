from __future__ import annotations

import subprocess
import sys
import time

import pytest

from resources.orchestration import progress
from resources.orchestration.watchdog import LEFT, STALLED

PROCESS = """
import logging, sys, time
from resources.orchestration import draining, progress, watchdog
logging.basicConfig(level="INFO", stream=sys.stdout)
watchdog.LOOK_SECONDS = 0.05
draining.LEAVE_SECONDS = 0.2
stall = float(sys.argv[1])
dog = watchdog.Watchdog(stall_seconds=stall, give_back=lambda: print("given back", flush=True))
with dog.watching("run-1"):
    {body}
print("ended", flush=True)
"""


def run(body: str, *, stall_seconds: float = 0.3) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROCESS.replace("{body}", body), str(stall_seconds)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_a_run_that_hangs_ends_its_process_and_says_where() -> None:
    found = run("time.sleep(30)")
    assert found.returncode == STALLED
    assert "run run-1 made no progress" in found.stdout
    assert 'File "<string>"' in found.stderr  # the stack of the thread that hangs


@pytest.mark.slow
def test_a_run_that_gets_on_or_may_take_its_time_is_left_alone() -> None:
    slowly = "[(time.sleep(0.1), progress.mark()) for _ in range(8)]"
    assert run(slowly).stdout.endswith("ended\n")
    waiting = "\n    ".join(["with progress.waiting():", "    time.sleep(0.8)"])
    assert run(waiting).stdout.endswith("ended\n")


@pytest.mark.slow
def test_a_run_that_outlasts_the_stop_of_its_worker_gives_back_and_ends_its_process() -> None:
    found = run("draining.begin(); time.sleep(30)", stall_seconds=60)
    assert found.returncode == LEFT
    assert "given back" in found.stdout


def test_progress_is_idle_since_its_last_mark() -> None:
    progress.mark()
    time.sleep(0.02)
    assert 0.01 < progress.idle_seconds() < 10
    with progress.waiting():
        assert progress.idle_seconds() == 0
