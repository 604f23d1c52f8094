"""The sites that are indexed, one process: `python -m benchmarks.page_server --folder DIR`; prints its first address.

Every page is at each of its addresses, 127.0.0.1 and up; `Site.url_of` says which one is used. It answers with strong
validators and 304 as real sites do, and counts what it answered: GET /stats.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import sys
from collections import Counter
from email.utils import formatdate
from pathlib import Path

from benchmarks import synthetic
from benchmarks.pages import Page, body_of, host

_ROBOTS = b"User-agent: *\nAllow: /\n"
_TEXT, _JSON, _HTML = "text/plain; charset=utf-8", "application/json", "text/html"  # pages name their charset in <meta>


class Site:
    """Pages of one folder at /<edition>/<file>, and made ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._files = {path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file()}
        self._bodies: dict[str, tuple[bytes, str, str]] = {}
        self.counts: Counter[str] = Counter()

    async def answer(self, path: str, headers: dict[str, str]) -> bytes:
        """Return a whole HTTP answer to a GET, a slow page's when its time has come."""
        if made := synthetic.find(path):
            await asyncio.sleep(made[0].delay_seconds)
        return self._answer(path, headers)

    def _answer(self, path: str, headers: dict[str, str]) -> bytes:
        if path == "/stats":
            return _answer(200, _JSON, json.dumps(self.counts).encode())
        if path == "/robots.txt":
            self.counts["robots"] += 1
            return _answer(200, _TEXT, _ROBOTS)
        self.counts["fetches"] += 1
        found = self._find(path)
        if found is None:
            self.counts["404"] += 1
            return _answer(404, _TEXT, b"no such page")
        body, etag, modified = found
        validators = {"ETag": etag, "Last-Modified": modified}
        known = headers.get("if-none-match")
        if etag == known or (known is None and headers.get("if-modified-since") == modified):
            self.counts["304"] += 1
            return _answer(304, None, b"", validators)
        self.counts["200"] += 1
        self.counts["bytes"] += len(body)
        return _answer(200, _HTML, body, validators)

    def _find(self, path: str) -> tuple[bytes, str, str] | None:
        if made := synthetic.find(path):
            body = synthetic.body_of(*made)
            return body, _etag(body), formatdate(0, usegmt=True)
        edition, _, file = path.lstrip("/").partition("/")
        if path not in self._bodies:
            if file not in self._files or not edition.isdigit():
                return None
            body = body_of(self._folder, Page(file, int(edition)))
            modified = formatdate((self._folder / file).stat().st_mtime, usegmt=True)
            self._bodies[path] = (body, _etag(body), modified)
        return self._bodies[path]


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _answer(status: int, content_type: str | None, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} -"]
    if content_type:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def _serve(site: Site, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            writer.write(await site.answer(head[0].split(" ")[1], headers))
            await writer.drain()
    writer.close()


async def _main(folder: Path, hosts: int) -> None:
    site = Site(folder)

    async def listen(number: int, port: int) -> asyncio.Server:
        return await asyncio.start_server(lambda r, w: _serve(site, r, w), host(number), port, backlog=512)

    first = await listen(0, 0)
    port = first.sockets[0].getsockname()[1]
    others = [await listen(number, port) for number in range(1, hosts)]
    sys.stdout.write(f"http://{host(0)}:{port}\n")
    sys.stdout.flush()
    await asyncio.gather(*(server.serve_forever() for server in [first, *others]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--hosts", type=int, default=1)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(options.folder, options.hosts))
