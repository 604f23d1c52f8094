"""GET /metrics beside a process that serves nothing itself: `python -m resources.telemetry.exporter HOST PORT`.

A process of its own: a thread in the worker would be open at every fork. It ends with the process that started it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from prometheus_client import start_http_server

from resources.settings import Settings
from resources.telemetry import process
from resources.telemetry.exposition import build_registry

LOOK_SECONDS = 1.0


def start(host: str, port: int) -> None:
    """Serve what this process and those that share its folder count, until this one ends. Port 0: don't."""
    if port:
        subprocess.Popen([sys.executable, "-m", __name__, host, str(port)], stdin=subprocess.DEVNULL)


def main() -> None:
    """Serve until the parent is gone."""
    parent = os.getppid()
    process.begin(Settings.load(), "cixml-metrics")
    start_http_server(int(sys.argv[2]), addr=sys.argv[1], registry=build_registry())
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
