"""The real gateway on loopback: Traefik's binary with the files of deploy/gateway. Only addresses are others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from resources.settings import PROJECT_ROOT
from tests.fakes.valkey import free_port

FILES = PROJECT_ROOT / "deploy" / "gateway"
BINARY = Path(sys.executable).parent / "traefik"
START_SECONDS = 20.0


@dataclass(kw_only=True)
class Gateway:
    """A running gateway: the addresses of its entry points, and where it writes."""

    url: str
    operators_url: str
    metrics_url: str
    log_file: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it; what it has to tell the collector is sent before."""
        self.process.terminate()
        self.process.wait(timeout=30)

    def accesses(self) -> list[dict[str, Any]]:
        """Return the lines of the access log."""
        lines = [json.loads(line) for line in self.log_file.read_text().splitlines()]
        return [line for line in lines if "RequestPath" in line]


@contextmanager
def running_gateway(folder: Path, *, collector: str = "http://127.0.0.1:1", **environment: str) -> Iterator[Gateway]:
    """Start it with these variables alone and wait until it has its routes; stop it at the end."""
    ports = {name: free_port() for name in ("api", "operators", "metrics")}
    static = yaml.safe_load((FILES / "traefik.yml").read_text())
    for name, entry_point in static["entryPoints"].items():
        entry_point["address"] = f"127.0.0.1:{ports[name]}"
        for wait in ("requestAcceptGraceTimeout", "graceTimeOut"):
            entry_point.setdefault("transport", {}).setdefault("lifeCycle", {})[wait] = "0s"
    static["providers"]["providersThrottleDuration"] = "10ms"
    static["providers"]["file"]["filename"] = str(FILES / "dynamic.yml")
    static["tracing"]["otlp"]["http"]["endpoint"] = f"{collector}/v1/traces"
    configuration, log_file = folder / "traefik.yml", folder / "gateway.log"
    configuration.write_text(yaml.safe_dump(static))
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [BINARY, f"--configFile={configuration}"],
            env=environment | {"PATH": os.environ["PATH"]},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    scheme = "https" if "GATEWAY_TLS_CERTIFICATE" in environment else "http"
    urls = {name: f"{scheme}://127.0.0.1:{port}" for name, port in ports.items()}
    gateway = Gateway(
        url=urls["api"],
        operators_url=urls["operators"],
        metrics_url=f"http://127.0.0.1:{ports['metrics']}/metrics",
        log_file=log_file,
        process=process,
    )
    try:
        _wait_for_routes(gateway)
        yield gateway
    finally:
        if process.poll() is None:
            gateway.stop()


def _wait_for_routes(gateway: Gateway) -> None:
    """Wait until the file's routes are in force: until then every path is unknown."""
    deadline = time.monotonic() + START_SECONDS
    while not _has_routes(gateway):
        log = gateway.log_file.read_text()
        assert gateway.process.poll() is None, f"the gateway ended: {log}"
        assert '"level":"error"' not in log, log
        assert time.monotonic() < deadline, f"the gateway has no routes: {log}"
        time.sleep(0.02)


def _has_routes(gateway: Gateway) -> bool:
    try:
        return httpx.get(f"{gateway.url}/livez", verify=False).status_code != 404
    except httpx.TransportError:
        return False


@dataclass(kw_only=True)
class Collector:
    """What was sent to an OTLP receiver over HTTP."""

    url: str
    bodies: list[bytes] = field(default_factory=list)


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Take every POST."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b""
            while size := int(self.rfile.readline(), 16):  # it comes in chunks
                body += self.rfile.read(size)
                self.rfile.readline()
            collector.bodies.append(body)
            self.rfile.readline()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
