"""The Python client against small real servers: what it sends, when it tries again, how refusals read."""

from __future__ import annotations

import inspect
import json
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import cixml
from cixml.client import (
    ApiError,
    ApiUnavailableError,
    AsyncClient,
    Client,
    PushedDocument,
    UrlEntry,
    base,
    hits,
    index_types,
    types,
)
from cixml.client.generate import PAIRS, synchronous
from cixml_api import examples, schemas
from resources.errors import ConfigurationError

JOB: Any = examples.JOB[0]
PROBLEM = {
    **{"type": "urn:x", "title": "Invalid", "status": 422, "detail": "2 fields are not valid", "instance": "/v1/jobs"},
    **{"error_code": "cixml_job_create_105", "request_id": "r", "trace_id": None, "retryable": False},
    "errors": [{"pointer": "/urls/0", "error_code": "cixml_job_create_104", "detail": "scheme"}],
}


class Server(ThreadingHTTPServer):
    """Answers what is queued: (status, headers, body), or None to drop the connection. Keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: deque[tuple[int, dict[str, str], str] | None] = deque()
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def will(self, status: int, body: object, **headers: str) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, text))


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers, body))
        found = self.server.answers.popleft()
        if found is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, headers, text = found
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer  # noqa: N815  # names of the base class

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join(5)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, "cixk_x", retry_seconds=5) as found:
        yield found


def page(model: list[Any], following: str | None = None) -> dict[str, object]:
    metadata = {"limit": 100, "order": "o", "next": following, "total_records": 2, "total_is_exact": True}
    return {"content": model, "_metadata": metadata | {"warnings": []}}


def test_a_job_is_submitted_once_whatever_breaks(server: Server, client: Client) -> None:
    server.answers.append(None)
    server.will(503, PROBLEM | {"status": 503, "retryable": True}, Retry_After="0")
    server.will(202, JOB)
    document = PushedDocument(external_id="a", markdown="# A")
    job = client.jobs.submit("docs", ["http://a/", UrlEntry(url="http://b/", external_id="b")], documents=[document])
    assert (job.id, job.items.ended, job.has_ended) == (JOB["id"], 36, False)
    (method, path, headers, body), *others = server.seen
    assert (method, path, headers["authorization"]) == ("POST", "/v1/jobs", "Bearer cixk_x")
    assert json.loads(body) == {
        "corpus": "docs",
        "urls": ["http://a/", {"url": "http://b/", "external_id": "b", "metadata": {}}],
        "documents": [{"external_id": "a", "markdown": "# A", "metadata": {}}],
    }
    assert [(seen[2]["idempotency-key"], seen[3]) for seen in others] == [(headers["idempotency-key"], body)] * 2


def test_a_change_that_may_have_been_made_is_not_sent_again(server: Server, client: Client) -> None:
    server.answers.append(None)
    with pytest.raises(ApiUnavailableError, match="does not answer"):
        client.corpora.create("docs")
    assert len(server.seen) == 1


def test_a_limit_is_waited_for_and_a_quota_is_not(server: Server, client: Client) -> None:
    server.will(429, PROBLEM | {"status": 429, "retryable": True}, Retry_After="1")
    server.will(200, page([]))
    assert list(client.jobs.list(status=["failed", "partial"], corpus="docs")) == []
    assert server.seen[1][1] == "/v1/jobs?status=failed%2Cpartial&corpus=docs&limit=100"
    server.will(429, PROBLEM | {"status": 429, "retryable": True}, Retry_After="3600")
    with pytest.raises(ApiError) as refused:
        client.quota()
    assert (refused.value.status, refused.value.retry_after_seconds, refused.value.retryable) == (429, 3600, True)


def test_entries_come_from_all_pages_of_the_list(server: Server, client: Client) -> None:
    item: Any = examples.ITEM[0]
    server.will(200, page([item | {"id": "item_1"}], "c2"))
    server.will(200, page([item | {"id": "item_2", "new_field": 1}]))
    assert [found.id for found in client.jobs.items("job_1", status=["failed"])] == ["item_1", "item_2"]
    assert server.seen[1][1] == "/v1/jobs/job_1/items?status=failed&limit=100&cursor=c2"
    server.will(200, page([examples.PLACED_ITEM[0]], "c3"))
    assert [found.corpus for found in client.items.failed(most=1)] == ["product-docs"]


def test_a_refusal_has_its_problem_and_names_the_field(server: Server, client: Client) -> None:
    server.will(422, PROBLEM)
    with pytest.raises(ApiError, match="422 2 fields are not valid; /urls/0: scheme") as refused:
        client.jobs.submit("docs", ["ftp://a"])
    assert (refused.value.error_code, refused.value.request_id) == ("cixml_job_create_105", "r")
    assert [field.pointer for field in refused.value.fields] == ["/urls/0"]
    server.will(502, "<html>a proxy's page</html>")
    with pytest.raises(ApiError, match="502 Bad Gateway"):
        client.jobs.get("job_1")
    server.will(200, "[]")
    with pytest.raises(ApiError, match="none of this API"):
        client.jobs.get("job_1")


def test_no_answer_says_how_to_start_the_api() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with Client(url, "k", retry_seconds=0.3) as client, pytest.raises(ApiUnavailableError, match="cixml up"):
        client.jobs.get("job_1")


def test_waiting_asks_with_the_tag_it_knows(server: Server, client: Client) -> None:
    server.will(200, JOB, ETag='W/"17"')
    server.will(304, "", ETag='W/"17"')
    server.will(200, JOB | {"status": "succeeded"}, ETag='W/"18"')
    assert client.jobs.wait("job_1").status == "succeeded"
    headers = server.seen[1][2]
    assert (headers["if-none-match"], headers["prefer"]) == ('W/"17"', "wait=30")
    server.will(200, JOB, ETag='W/"17"')
    with pytest.raises(TimeoutError, match="job_1"):
        client.jobs.wait("job_1", timeout_seconds=0)


def test_a_broken_stream_is_taken_up_after_its_last_event(server: Server, client: Client) -> None:
    item = json.dumps(examples.ITEM[0])
    server.will(200, f": comment\n\nevent: item\ndata: {item}\nid: 3.1\n\nevent: later\ndata: {{}}\nid: 4\n\nevent: it")
    server.answers.append(None)
    end = json.dumps(JOB | {"status": "succeeded"})
    server.will(200, f"event: end\ndata: {end}\nid: 5\n\n")
    events = list(client.jobs.events("job_1"))
    assert [(event.name, event.id) for event in events] == [("item", "3.1"), ("end", "5")]
    assert isinstance(events[0].data, types.Item)
    assert isinstance(events[1].data, types.Job)
    assert [seen[2].get("last-event-id") for seen in server.seen] == [None, "4", "4"]
    server.will(204, "")
    assert list(client.jobs.events("job_1")) == []


async def test_the_asynchronous_client_does_the_same(server: Server) -> None:
    server.answers.append(None)
    server.will(202, JOB)
    server.will(200, page([JOB], "c2"))
    server.will(200, page([JOB]))
    server.will(200, f"event: end\ndata: {json.dumps(JOB)}\nid: 5\n\n")
    async with AsyncClient(server.url, "k", retry_seconds=5) as client:
        assert (await client.jobs.submit("docs", ["http://a/"])).id == JOB["id"]
        assert len([job async for job in client.jobs.list()]) == 2
        assert [event.name async for event in client.jobs.events("job_1")] == ["end"]


@pytest.mark.parametrize("source", PAIRS, ids=lambda path: path.name)
def test_the_client_that_blocks_is_made_from_the_other(source: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.py"
    made.write_text(synchronous(source))
    # Sorted, because names in lists of imports change with it.
    for words in (["check", "-q", "--select", "I", "--fix"], ["format", "-q"]):
        config = source.parents[2] / "pyproject.toml"
        subprocess.run([sys.executable, "-m", "ruff", *words, "--config", config, made], check=True)
    assert PAIRS[source].read_text() == made.read_text(), "run 'python cixml/client/generate.py' and 'ruff'"


NAMES = {"Usage": "JobUsage"}
LISTS = {name for name in dir(schemas) if name.endswith("List")} - {"GrantList"}
OPERATORS = {"Live", "Ready", "Health", "MembershipHealth", "BreakerHealth", "QueueHealth", "AuditEntry", "Answer"}


def test_every_field_of_an_answer_is_typed_alike() -> None:
    answers = {
        name: model
        for name, model in vars(schemas).items()
        if inspect.isclass(model) and issubclass(model, schemas.Answer) and name not in LISTS | OPERATORS
    }
    assert len(answers) > 30
    for name, model in answers.items():
        ours = (
            vars(base).get(name)
            or vars(hits).get(name)
            or vars(index_types).get(name)
            or getattr(types, NAMES.get(name, name))
        )
        missing = set(model.model_fields) - set(ours.model_fields)
        assert not missing or name == "RobotsRecord", f"{name}: {missing}"


def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIXML_URL", raising=False)
    monkeypatch.delenv("CIXML_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="CIXML_URL"):
        Client()
    monkeypatch.setenv("CIXML_URL", "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="CIXML_API_KEY"):
        Client()
    monkeypatch.setenv("CIXML_API_KEY", "k")
    with cixml.Client() as client:
        assert isinstance(client, Client)


def test_the_package_is_imported_without_the_pipeline() -> None:
    code = "import sys, cixml; assert 'httpx' not in sys.modules; cixml.Client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"dagster", "psycopg", "fastapi", "numpy", "typer"} & set(done.stdout.split())
