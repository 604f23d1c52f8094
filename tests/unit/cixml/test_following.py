"""What the console shows of a job."""

from __future__ import annotations

import io
from typing import Any

import httpx
from rich.console import Console

from cixml.client import Client
from cixml.following import follow, print_job
from cixml_api import examples

JOB: Any = examples.JOB[0]
ITEM: Any = examples.ITEM[0]
METADATA = {"limit": 1, "order": "", "next": None, "total_records": 1, "total_is_exact": True, "warnings": []}


def _answer(request: httpx.Request) -> httpx.Response:
    if request.url.path.endswith("/items"):
        return httpx.Response(200, json={"content": [ITEM | {"url": "http://a/[x]"}], "_metadata": METADATA})
    return httpx.Response(200, json=JOB | {"status": "partial"})


def _console() -> Console:
    return Console(file=io.StringIO(), width=200)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_an_ended_job_is_followed_to_its_numbers_and_failures() -> None:
    console = _console()
    with Client("http://api", "key", transport=httpx.MockTransport(_answer)) as client:
        print_job(console, client, follow(client, "job_1", console))
    shown = _text(console)
    assert "partial (30 indexed, 4 unchanged, 1 skipped, 1 failed)" in shown
    assert "391022 tokens embedded, 120400 taken from before" in shown
    assert "http://a/[x]: http_5xx 503" in shown
    assert f"cixml retry {JOB['id']}" in shown


def test_an_open_job_tells_what_is_left_and_why_it_waits() -> None:
    jobs = iter([JOB, JOB | {"status": "succeeded"}])
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    with Client(
        "http://api", "k", transport=httpx.MockTransport(lambda _: httpx.Response(200, json=next(jobs)))
    ) as api:
        follow(api, "job_1", console)
    assert "running: 3 scraping, 1 chunking, 2 embedding; about 41 s left; waiting: 10 for queue" in _text(console)
