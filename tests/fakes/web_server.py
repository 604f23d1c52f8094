"""A small real web server on loopback with failure switches: pages from a dict, validators, robots.txt, a request log.

    with WebServer({"/a": Page("<p>Hello</p>")}) as server:
        server.fail_next("/a", times=2, status=503)
        ...
        assert server.requests[0].path == "/a"

From a shell: `python tests/fakes/web_server.py --port 8099 --folder pages`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import hashlib
import mimetypes
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_REASONS = {200: "OK", 301: "Moved Permanently", 302: "Found", 304: "Not Modified", 404: "Not Found"}


@dataclass(kw_only=True)
class _Options:
    content_type: str | None = "text/html; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    etag: bool = True
    last_modified: str | None = None
    gzip: bool = False
    drop: bool = False  # close the connection without an answer
    truncate: bool = False  # announce the whole length, send half
    drip_seconds: float = 0.0  # send one byte (of a raw answer one line), wait, and so on
    chunked: bool = False
    reset: bool = False  # send half, then reset the connection
    raw: bool = False  # the body is the whole answer, head and all; the connection is closed after it


class Page:
    """What the server answers at one path. `body` may be text or bytes."""

    def __init__(
        self, body: str | bytes = b"", content_type: str | None = "text/html; charset=utf-8", **options: object
    ) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.options = _Options(content_type=content_type, **options)  # type: ignore[arg-type]  # the dataclass checks the names

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:16]}"'


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    connection: int
    at: float = field(default_factory=time.monotonic)


class WebServer:
    """Serves `pages` from a thread with an event loop of its own. `port` 0 takes a free one. A context manager."""

    def __init__(
        self,
        pages: Mapping[str, Page] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        robots: str | None = None,
    ) -> None:
        self.pages: dict[str, Page] = dict(pages or {})
        if robots is not None:
            self.pages["/robots.txt"] = Page(robots, "text/plain")
        self.host = host
        self.port = port
        self.requests: list[Request] = []
        self.connections = 0
        self.most_at_once = 0
        self._now = 0
        self._failures: Counter[tuple[str, int]] = Counter()
        self._close_idle_next = False
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="web-server", daemon=True)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def paths(self) -> list[str]:
        """Paths asked for, in order, without robots.txt."""
        return [request.path for request in self.requests if request.path != "/robots.txt"]

    def fail_next(self, path: str, times: int = 1, status: int = 503) -> None:
        """Answer the next `times` requests for `path` with `status`; status 0 drops the connection."""
        self._failures[(path, status)] += times

    def close_next_reuse(self) -> None:
        """Close the connection of the next request that reuses one: the keep-alive race."""
        self._close_idle_next = True

    def start(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                is_first = True
                while await self._answer_one(reader, writer, number, is_first=is_first):
                    is_first = False
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, *, is_first: bool
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        if self._close_idle_next and not is_first:
            self._close_idle_next = False
            return False
        self.requests.append(Request(path, headers, number))
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            return await self._answer(path, headers, writer)
        finally:
            self._now -= 1

    async def _answer(self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> bool:
        failure = next((key for key, left in self._failures.items() if key[0] == path and left > 0), None)
        if failure is not None:
            self._failures[failure] -= 1
            if failure[1] == 0:
                return False
            page = Page(b"failed on purpose", "text/plain", status=failure[1])
        else:
            page = self.pages.get(path) or Page(b"not found", "text/plain", status=404)
        if page.options.delay_seconds:
            await asyncio.sleep(page.options.delay_seconds)
        if page.options.drop:
            return False
        return await _send(page, headers, writer)


async def _send(page: Page, request: dict[str, str], writer: asyncio.StreamWriter) -> bool:
    options = page.options
    is_unchanged = options.status == 200 and (
        (options.etag and request.get("if-none-match") == page.etag)
        or (
            "if-none-match" not in request
            and options.last_modified is not None
            and request.get("if-modified-since") == options.last_modified
        )
    )
    status = 304 if is_unchanged else options.status
    body = b"" if is_unchanged else gzip.compress(page.body, 6, mtime=0) if options.gzip else page.body
    head = _head(page, status, len(body))
    if options.drip_seconds:
        writer.write(head)
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(options.drip_seconds)
        return True
    if options.raw:
        for piece in page.body.splitlines(keepends=True) if options.drip_seconds else [page.body]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(options.drip_seconds)
        return False
    if options.reset:
        writer.write(head + body[: len(body) // 2])
        await writer.drain()
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False
    if options.truncate:
        writer.write(head + body[: len(body) // 2])
        await writer.drain()
        return False
    writer.write(head + (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if options.chunked and body else body))
    await writer.drain()
    return True


def _head(page: Page, status: int, length: int) -> bytes:
    options = page.options
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Answer')}"]
    if options.content_type is not None and status != 304:
        lines.append(f"Content-Type: {options.content_type}")
    if status not in (204, 304):
        lines.append("Transfer-Encoding: chunked" if options.chunked else f"Content-Length: {length}")
    if options.etag and options.status == 200:
        lines.append(f"ETag: {page.etag}")
    if options.last_modified:
        lines.append(f"Last-Modified: {options.last_modified}")
    if options.gzip and status != 304:
        lines.append("Content-Encoding: gzip")
    lines += [f"{name}: {value}" for name, value in options.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def pages_of_folder(folder: Path) -> dict[str, Page]:
    """Return one page per file; the content type comes from the file's name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        f"/{path.relative_to(folder).as_posix()}": Page(path.read_bytes(), mimetypes.guess_type(path.name)[0])
        for path in files
    }


def _main() -> None:
    parser = argparse.ArgumentParser(description="Serve a folder over HTTP on loopback.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    server = WebServer(pages_of_folder(arguments.folder), host=arguments.host, port=arguments.port)
    with server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    _main()
