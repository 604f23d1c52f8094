"""/metrics beside a process that serves nothing itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from resources.settings import PROJECT_ROOT
from tests.fakes.valkey import free_port

COUNTING = """
import sys
from resources.telemetry import exporter, metrics
exporter.start("127.0.0.1", int(sys.argv[1]))
metrics.rescued.inc(3)
print(flush=True)
sys.stdin.read()
"""


def test_what_a_process_counts_is_served_until_it_ends(tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(PROJECT_ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", COUNTING, str(port)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        assert "cixml_rescued_total 3.0" in read(port)
        process.stdin.close()
    until = time.monotonic() + 10
    while is_served(port):
        assert time.monotonic() < until, "the exporter outlives its process"
        time.sleep(0.05)


def read(port: int) -> str:
    until = time.monotonic() + 20
    while not is_served(port):
        assert time.monotonic() < until, "nothing is served"
        time.sleep(0.05)
    return httpx.get(f"http://127.0.0.1:{port}/metrics").text


def is_served(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
    except httpx.TransportError:
        return False
