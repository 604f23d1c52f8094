"""First stage: fetch a page and store its text."""

from __future__ import annotations

from functools import cache
from typing import Any

import httpx
import trafilatura

from benchmarks.yardstick.database import connection
from benchmarks.yardstick.queues import PageError, Stage, StageTask, celery_app, report
from benchmarks.yardstick.robots import Robots

_USER_AGENT = "yardstick/1.0"
_MAX_BYTES = 20 * 2**20
_STORE = """
INSERT INTO documents (corpus, url, job_id, text) VALUES (%s, %s, %s, %s)
ON CONFLICT (corpus, url) DO UPDATE SET job_id = excluded.job_id, text = excluded.text, indexed_at = NULL
"""

app = celery_app("scraper")


@cache
def _http() -> httpx.Client:
    return httpx.Client(headers={"User-Agent": _USER_AGENT}, timeout=30.0, follow_redirects=True, trust_env=False)


@cache
def _robots() -> Robots:
    return Robots(_http(), _USER_AGENT)


@app.task(base=StageTask, bind=True, name=Stage.SCRAPING.queue, stage=Stage.SCRAPING)  # type: ignore[untyped-decorator]  # Celery has no types
def scrape(task: Any, job_id: str, corpus: str, url: str) -> None:
    if not _robots().allows(url):
        raise PageError("robots_disallowed", "robots.txt disallows the URL")
    text = trafilatura.extract(_fetch(url))
    if not text:
        raise PageError("empty_text", "the page holds no text")
    with connection().transaction():
        connection().execute(_STORE, [corpus, url, job_id, text.replace("\0", "")])
    report(job_id, Stage.SCRAPING)


def _fetch(url: str) -> bytes:
    """Return a page's bytes. A server's error is retried like a broken connection; a client's is final."""
    with _http().stream("GET", url) as answer:
        if answer.is_server_error:
            raise httpx.ReadError(f"the server answered {answer.status_code}")
        if not answer.is_success:
            raise PageError("http_status", f"the server answered {answer.status_code}")
        body = bytearray()
        for part in answer.iter_bytes():
            body += part
            if len(body) > _MAX_BYTES:
                raise PageError("too_large", f"the page has more than {_MAX_BYTES} bytes")
        return bytes(body)
