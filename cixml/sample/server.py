"""A small web site of the bundled pages, with the validators and the robots.txt a real one has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

from cixml.embedded.errors import StackError

PAGES = Path(__file__).parent / "pages"
CORPUS = "postgresql-docs"
_PREFIX = "/docs/15/"
_ROBOTS = b"User-agent: *\nAllow: /\n"
# A checkout's file times say nothing of the pages: this is when they were published.
_LAST_MODIFIED = "Thu, 13 Nov 2025 11:12:00 GMT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer: its bytes, their type and their strong validator."""

    body: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, content_type: str) -> Page:
        return cls(body=body, content_type=content_type, etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def load_pages(folder: Path = PAGES) -> dict[str, Page]:
    """Return every path of the site with its page."""
    pages = {
        _PREFIX + path.name: Page.of(path.read_bytes(), "text/html; charset=UTF-8") for path in folder.glob("*.html")
    }
    return pages | {"/robots.txt": Page.of(_ROBOTS, "text/plain; charset=UTF-8")}


def sample_urls(port: int) -> list[str]:
    """Return the pages' addresses, in a stable order."""
    return [f"http://127.0.0.1:{port}{_PREFIX}{path.name}" for path in sorted(PAGES.glob("*.html"))]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pages: ClassVar[dict[str, Page]] = {}

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        page = self.pages.get(self.path.partition("?")[0])
        if page is None:
            self.send_error(404)
            return
        known = self.headers.get("If-None-Match", "")
        is_unchanged = page.etag in known or (not known and self.headers.get("If-Modified-Since") == _LAST_MODIFIED)
        self.send_response(304 if is_unchanged else 200)
        self.send_header("ETag", page.etag)
        self.send_header("Last-Modified", _LAST_MODIFIED)
        if not is_unchanged:
            self.send_header("Content-Type", page.content_type)
            self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if with_body and not is_unchanged:
            self.wfile.write(page.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the console shows the job's progress."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def serving(port: int) -> Iterator[int]:
    """Serve the pages on 127.0.0.1 while the block runs; port 0 takes a free one. Yields the port."""
    handler = type("SampleHandler", (_Handler,), {"pages": load_pages()})
    try:
        server = _Server(("127.0.0.1", port), handler)
    except OSError as error:
        raise StackError(f"the sample's port {port} is taken: does another 'cixml up --sample' run?") from error
    thread = Thread(target=server.serve_forever, name="sample", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
