"""A worker and its extractor live and die together; the extractor is there until the worker's last run has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cixml.worker import EXTRACTOR_DIED
from tests.stack import poll

EXTRACTOR = """
import os, pathlib, signal
pathlib.Path("extractor").write_text(str(os.getpid()))
signal.pause()
"""
WORKER = """
import os, pathlib, signal, sys, time
def drain(*_):
    time.sleep(0.3)
    try:
        os.kill(int(pathlib.Path("extractor").read_text()), 0)
    except ProcessLookupError:
        sys.exit(4)
    sys.exit(3)
signal.signal(signal.SIGTERM, drain)
while not pathlib.Path("extractor").exists():
    time.sleep(0.01)
pathlib.Path("worker").write_text(str(os.getpid()))
while True:
    signal.pause()
"""
RUN = """
import sys
from cixml.worker import run
sys.exit(run([sys.executable, "-c", sys.argv[1]], [sys.executable, "-c", sys.argv[2]]))
"""


@pytest.fixture
def both(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", RUN, WORKER, EXTRACTOR], cwd=tmp_path) as process:
        poll(lambda: pid(tmp_path, "worker") and pid(tmp_path, "extractor"), "both")
        yield process
        process.kill()


def pid(folder: Path, name: str) -> int:
    file = folder / name
    return int(file.read_text() or 0) if file.exists() else 0


def assert_both_are_gone(folder: Path) -> None:
    for name in ("worker", "extractor"):
        with pytest.raises(ProcessLookupError):
            os.kill(pid(folder, name), 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_to_stop_has_its_extractor_until_its_end(
    both: subprocess.Popen[bytes], tmp_path: Path, number: int
) -> None:
    both.send_signal(number)
    assert both.wait(timeout=10) == 3
    assert_both_are_gone(tmp_path)


def test_a_killed_worker_takes_its_extractor_along(both: subprocess.Popen[bytes], tmp_path: Path) -> None:
    os.kill(pid(tmp_path, "worker"), signal.SIGKILL)
    assert both.wait(timeout=10) == 128 + signal.SIGKILL
    assert_both_are_gone(tmp_path)


def test_without_its_extractor_a_worker_stops_in_order(both: subprocess.Popen[bytes], tmp_path: Path) -> None:
    os.kill(pid(tmp_path, "extractor"), signal.SIGKILL)
    assert both.wait(timeout=10) == EXTRACTOR_DIED
    assert_both_are_gone(tmp_path)
