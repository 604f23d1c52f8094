"""The extractor process: pages in, text layers with chunks out, over a unix socket. `python -m cixml_assets.extractor`

A parent that has imported everything forks one worker per core; workers accept connections themselves. A page that
holds libxml2 for minutes can't be stopped from Python, so each request runs under kernel timers whose signals kill
the worker, and the parent forks a new one.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from tokenizers import Tokenizer

from cixml_assets.chunking import chunk_text
from cixml_assets.decoding import decode
from cixml_assets.extraction import extract, read_page
from cixml_assets.extractor_protocol import (
    ACCEPTED,
    HEAD,
    MAX_HEADER_BYTES,
    document_answer,
    error_answer,
    frame,
    links_answer,
    read_time,
    socket_path,
)
from cixml_assets.links import HTML_TYPES, read_links
from cixml_assets.sitemaps import read_sitemap
from resources.embedding.tokenizer import load_tokenizer
from resources.errors import ChunkingError, CixmlError, ConfigurationError
from resources.settings import ExtractorSettings, Settings
from resources.telemetry import process
from resources.types import Chunking, Exclusions, ExtractedDocument, PageLinks, TextLayer

log = logging.getLogger("cixml.extractor")

NICE = 5  # embedding, Postgres and the API go first
REQUESTS_PER_WORKER = 2_000  # then it is replaced: libxml2's memory fragments
BACKLOG = 512
QUICK_DEATH_SECONDS = 1.0  # a worker that lives shorter is not replaced at once
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}


def extract_document(header: dict[str, Any], body: bytes) -> ExtractedDocument:
    """Return the document of one request. Raises ChunkingError or ConfigurationError."""
    if header["operation"] == "cut":
        facts = header["layer"]
        layer = TextLayer(text=body.decode(), **facts | {"published_at": read_time(facts["published_at"])})
    else:
        layer = read_page(body, header["content_type"], header["charset"], Exclusions(**header["exclusions"]))
    chunking = Chunking(
        max_tokens=header["max_tokens"], overlap_tokens=header["overlap_tokens"], strategy=header["strategy"]
    )
    chunks = chunk_text(layer.text, _tokenizer(header["tokenizer"]), chunking)
    if len(chunks) > header["max_chunks"]:
        raise ChunkingError("too_many_chunks", f"the page has {len(chunks)} chunks: at most {header['max_chunks']}")
    return ExtractedDocument(
        title=layer.title,
        language=layer.language,
        text=layer.text,
        coverage=layer.coverage,
        extractor=layer.extractor,
        published_at=layer.published_at,
        chunks=chunks,
    )


def find_links(header: dict[str, Any], body: bytes) -> PageLinks:
    """Return what the page or sitemap of one request names. Raises ChunkingError."""
    if header["kind"] == "sitemap":
        return read_sitemap(body, header["url"])
    if header["content_type"] not in HTML_TYPES:
        return PageLinks()
    return read_links(decode(body, header["content_type"], header["charset"]), header["url"])


@lru_cache(maxsize=4)
def _tokenizer(path: str) -> Tokenizer:
    if not Path(path).is_file():
        raise ConfigurationError(f"the tokenizer {path} does not exist: mend tokenizer_path in models.toml")
    return load_tokenizer(Path(path))


class Worker:
    """Serves requests one after the other until it has served its share. Runs in a child process."""

    def __init__(self, listener: socket.socket, settings: ExtractorSettings) -> None:
        self._listener = listener
        self._settings = settings

    def run(self) -> None:
        os.nice(NICE)
        resource.setrlimit(resource.RLIMIT_AS, (self._settings.memory_bytes, self._settings.memory_bytes))
        for _ in range(REQUESTS_PER_WORKER):
            connection, _ = self._listener.accept()
            with connection:
                try:
                    self._serve(connection)
                except (ConnectionError, EOFError, TimeoutError):
                    continue  # the client went away

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(self._settings.wall_seconds)
        connection.sendall(ACCEPTED)
        header, body = _receive(connection)
        if header["operation"] == "ping":
            connection.sendall(frame({}))
            return
        self._limit(self._settings.cpu_seconds, self._settings.wall_seconds)
        answer = _answer(header, body)
        self._limit(0, 0)
        connection.sendall(answer)

    def _limit(self, cpu_seconds: float, wall_seconds: float) -> None:
        """Let the kernel kill this process after so much time: the signals keep their default action."""
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, wall_seconds)


def _answer(header: dict[str, Any], body: bytes) -> bytes:
    try:
        if header["operation"] == "links":
            return links_answer(find_links(header, body))
        return document_answer(extract_document(header, body))
    except MemoryError:
        return error_answer(ChunkingError("extraction_failed", "the page needs more memory than extraction may use"))
    except CixmlError as error:
        return error_answer(error)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    header_bytes, body_bytes = HEAD.unpack(_read(connection, HEAD.size))
    if header_bytes > MAX_HEADER_BYTES:
        raise EOFError("not a request")
    return orjson.loads(_read(connection, header_bytes)), _read(connection, body_bytes)


def _read(connection: socket.socket, count: int) -> bytes:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        received = connection.recv_into(view)
        if not received:
            raise EOFError("the client went away")
        view = view[received:]
    return bytes(data)


class Parent:
    """Keeps the workers alive: one that dies is replaced. SIGTERM ends them all."""

    def __init__(self, listener: socket.socket, settings: ExtractorSettings) -> None:
        self._listener = listener
        self._settings = settings
        self._workers: dict[int, float] = {}

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for _ in range(self._settings.processes or len(os.sched_getaffinity(0))):
            self._fork()
        try:
            while signal.sigwait(_SIGNALS) == signal.SIGCHLD:
                self._replace_dead()
        finally:
            self._end_all()

    def _fork(self) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_worker(parent, Worker(self._listener, self._settings))
        self._workers[pid] = time.monotonic()

    def _replace_dead(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            started = self._workers.pop(pid, 0.0)
            code = os.waitstatus_to_exitcode(status)
            if code:
                log.warning("worker %d ended with %d: a new one is started", pid, code)
            if code and time.monotonic() - started < QUICK_DEATH_SECONDS:
                time.sleep(QUICK_DEATH_SECONDS)
            self._fork()

    def _end_all(self) -> None:
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)
        for pid in self._workers:
            os.waitpid(pid, 0)


def _become_worker(parent: int, worker: Worker) -> None:
    """Turn a fresh child into a worker; never returns."""
    code = 1
    try:
        _die_with(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        worker.run()
        code = 0
    finally:
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(code)


def _die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent is gone (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def listen(path: Path) -> socket.socket:
    """Bind the socket for this user only. Raises ConfigurationError when another extractor listens there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as probe:
        if path.exists() and probe.connect_ex(str(path)) == 0:
            raise ConfigurationError(f"another extractor listens at {path}: stop it or set CIXML_EXTRACTOR__SOCKET")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(BACKLOG)
    return listener


def main() -> None:
    """Read the settings and serve until SIGTERM."""
    settings = Settings.load()
    process.begin(settings, "cixml-extractor")
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # its "discarding data" is our empty_text
    path = socket_path(settings)
    listener = listen(path)
    extract("<html><body><p>The first page pays for compiling expressions: here, before the fork.</p></body></html>")
    gc.collect()
    gc.freeze()  # pages of memory stay shared with the workers
    try:
        Parent(listener, settings.extractor).run()
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
