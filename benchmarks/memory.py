"""Peak memory of the product's processes during bulk, and of the local model server, which that run does not start."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import httpx

from benchmarks.errors import BenchmarkError
from benchmarks.processes import SAMPLE_SECONDS, MemoryPeaks, pss_mb, trees
from cixml.embedded.ports import choose_port
from resources.settings import PROJECT_ROOT

_START_SECONDS = 60.0
_TEXTS, _REQUESTS = 32, 2
_TEXT = "An index allows the database server to find and retrieve specific rows much faster. " * 12
Json = dict[str, Any]


def report(peaks: MemoryPeaks) -> Json:
    """Return the peaks in MB of PSS. Raises BenchmarkError when a process could not be looked at."""
    if peaks.error:
        raise BenchmarkError(f"memory was not sampled to the end: {peaks.error}") from peaks.error
    return {
        "unit": "MB of PSS, peaks",
        "sampled_every_s": SAMPLE_SECONDS,
        "samples": peaks.samples,
        "sampling_cpu_s": round(peaks.cpu_seconds, 2),
        "stack": round(peaks.total),
        "by_process": {name: round(size) for name, size in sorted(peaks.group.items(), key=lambda item: -item[1])},
        "largest_child": {name: round(size) for name, size in peaks.largest_child.items() if size},
    }


def local_model() -> int:
    """Return the memory of the bundled model server, which a stack with an embedding server does not start."""
    return round(_local_model())


def _local_model() -> float:
    """Start the bundled model server by itself, embed full-length texts, return its memory."""
    port = choose_port(())
    command = [sys.executable, "-m", "cixml.model_server", "--host", "127.0.0.1", "--port", str(port)]
    quiet = os.environ | {"CIXML_LOG_LEVEL": "WARNING"}
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, env=quiet, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60.0) as client:
            _wait(client, process)
            return max(_after_a_request(client, process.pid) for _ in range(_REQUESTS))
    except httpx.HTTPError as error:
        raise BenchmarkError(f"the local model server can't be measured: {error}") from error
    finally:
        process.terminate()
        process.wait()


def _wait(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/health").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise BenchmarkError("the local model server did not start: see above")


def _after_a_request(client: httpx.Client, pid: int) -> float:
    body = {"model": "all-MiniLM-L6-v2", "input": [f"{number} {_TEXT}" for number in range(_TEXTS)]}
    client.post("/v1/embeddings", json=body).raise_for_status()
    return sum(pss_mb(process.pid) for process in trees({"model": pid})["model"])
