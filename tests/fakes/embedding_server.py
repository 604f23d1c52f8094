"""A small real OpenAI-compatible embedding server: for tests, and the modelled GPU of the benchmarks.

Vectors come from the text alone, so that two runs agree. Time is modelled: requests queue behind each other like on one
GPU for tokens/rate seconds, then wait the latency beside each other. Failures are switched from Python or by POST
/control, so another process can break it too. HTTP is by hand, because half of what it does is to do HTTP wrongly.

    with EmbeddingServer(dimension=384) as server:
        server.fail_next(3, status=500)
        ... server.base_url ... server.stats.texts

    python -m tests.fakes.embedding_server --port 8090 --dimension 1024 --tokens-per-second 80000 --latency-ms 8
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import math
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import orjson

FAULTS = ("truncated_json", "wrong_dimension", "nan", "zero", "wrong_order", "short", "hang_up", "hang")


@dataclass
class Stats:
    """What arrived. `tokens` counts answered texts; `busy_seconds` is the modelled GPU's own time."""

    requests: int = 0
    texts: int = 0
    tokens: int = 0
    failed: int = 0
    in_flight: int = 0
    in_flight_max: int = 0
    busy_seconds: float = 0.0
    distinct: Counter[bytes] = field(default_factory=Counter)
    batch_sizes: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        names = ("requests", "texts", "tokens", "failed", "in_flight", "in_flight_max", "busy_seconds")
        return {name: getattr(self, name) for name in names} | {
            "distinct_texts": len(self.distinct),
            "batch_sizes": self.batch_sizes[-1000:],
        }


@dataclass
class Fault:
    """How the next answer goes wrong: an HTTP status, or one of FAULTS."""

    status: int = 0
    kind: str = ""
    retry_after: float | None = None
    code: str | None = None


class EmbeddingServer:
    """Runs on a thread with an event loop of its own. Every switch may be used from any thread."""

    def __init__(
        self,
        *,
        port: int = 0,
        dimension: int = 384,
        tokens_per_second: float = math.inf,
        latency_seconds: float = 0.0,
        models: tuple[str, ...] = ("all-MiniLM-L6-v2",),
        dimensions: Mapping[str, int] | None = None,
        tokenizer: str | None = None,
        vectors: str = "hash",
        max_tokens: int | None = None,
        api_key: str | None = None,
    ) -> None:
        self.port = port
        self.dimension = dimension
        self.tokens_per_second = tokens_per_second
        self.latency_seconds = latency_seconds
        self.models = models
        self.dimensions = dict(dimensions or {})
        self.max_tokens = max_tokens
        self.api_key = api_key
        self.poison: str | None = None
        self.stats = Stats()
        self._count = _token_counter(tokenizer)
        self._vector = _word_vector if vectors == "words" else _hash_vector
        self._faults: deque[Fault] = deque()
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread: threading.Thread | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._busy_until = 0.0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    # Switches

    def fail_next(self, n: int, status: int = 500, retry_after: float | None = None, code: str | None = None) -> None:
        """Answer the next `n` embedding requests with an HTTP error."""
        self._faults.extend([Fault(status=status, retry_after=retry_after, code=code)] * n)

    def break_next(self, n: int, kind: str) -> None:
        """Answer the next `n` embedding requests wrongly: one of FAULTS."""
        assert kind in FAULTS, kind
        self._faults.extend([Fault(kind=kind)] * n)

    def heal(self) -> None:
        """Forget every switch, and answer at full speed."""
        self._faults.clear()
        self.poison = None
        self.latency_seconds = 0.0

    def go_down(self) -> None:
        """Close the listening socket and every connection: connections are refused until `come_back`."""
        self._call(self._close)

    def come_back(self) -> None:
        self._call(self._listen)

    def reset_stats(self) -> None:
        with self._lock:
            self.stats = Stats(in_flight=self.stats.in_flight)

    # Life

    def start(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-embedding-server", daemon=True)
        self._thread.start()
        self._call(self._listen)
        return self

    def stop(self) -> None:
        if self._thread is None:
            return
        self._call(self._close)
        self._call(self._cancel_all)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._thread = None
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _call(self, step: Callable[[], Any]) -> None:
        asyncio.run_coroutine_threadsafe(step(), self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", self.port))
            self.port = listening.getsockname()[1]
            self._server = await asyncio.start_server(self._serve, sock=listening, backlog=1024)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._connections):
            writer.transport.abort()

    async def _cancel_all(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # HTTP

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                await self._route(writer, method, path, headers, body)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(writer)
            writer.transport.abort()

    async def _route(
        self, writer: asyncio.StreamWriter, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> None:
        match (method, path.partition("?")[0]):
            case ("POST", "/v1/embeddings"):
                await self._embeddings(writer, headers, body)
            case ("GET", "/v1/models"):
                data = [{"id": name, "object": "model", "created": 0, "owned_by": "fake"} for name in self.models]
                await _send(writer, 200, {"object": "list", "data": data})
            case ("GET", "/health"):
                await _send(writer, 200, {"status": "ok"})
            case ("GET", "/stats"):
                await _send(writer, 200, self.stats.as_json())
            case ("POST", "/stats/reset"):
                self.reset_stats()
                await _send(writer, 200, {})
            case ("POST", "/control"):
                await self._control(writer, json.loads(body))
            case _:
                await _send(writer, 404, _error("no such path", "not_found"))

    async def _control(self, writer: asyncio.StreamWriter, order: dict[str, Any]) -> None:
        """{"fail_next": 3, "status": 500, "retry_after": 1} | {"break_next": 1, "kind": "nan"} | {"heal": true}
        | {"down_seconds": 5} | {"latency_seconds": 5} | {"tokens_per_second": 1000} | {"poison": "text" or null}"""
        if "heal" in order:
            self.heal()
        if "fail_next" in order:
            self.fail_next(order["fail_next"], order.get("status", 500), order.get("retry_after"), order.get("code"))
        if "break_next" in order:
            self.break_next(order["break_next"], order["kind"])
        for name in {"latency_seconds", "tokens_per_second", "poison", "models", "max_tokens"} & order.keys():
            setattr(self, name, order[name])
        await _send(writer, 200, {})
        if "down_seconds" in order:
            self._loop.call_later(order["down_seconds"], lambda: self._loop.create_task(self._listen()))
            await self._close()

    async def _embeddings(self, writer: asyncio.StreamWriter, headers: dict[str, str], body: bytes) -> None:
        stats = self.stats
        stats.headers = headers
        stats.requests += 1
        stats.in_flight += 1
        stats.in_flight_max = max(stats.in_flight_max, stats.in_flight)
        try:
            status, answer, extra = await self._answer(writer, headers, orjson.loads(body))
        finally:
            stats.in_flight -= 1
            self.stats.in_flight = stats.in_flight
        stats.failed += status != 200
        if status:
            await _send(writer, status, answer, extra)

    async def _answer(
        self, writer: asyncio.StreamWriter, headers: dict[str, str], request: dict[str, Any]
    ) -> tuple[int, Any, dict[str, str]]:
        """Return (status, body, headers); status 0 when the connection is to get no answer."""
        fault = self._faults.popleft() if self._faults else Fault()
        if fault.status:
            extra = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
            return fault.status, _error("switched on by the test", fault.code or "test"), extra
        if fault.kind == "hang_up":
            writer.transport.abort()
            return 0, None, {}
        if fault.kind == "hang":
            await asyncio.sleep(3600)
        if self.api_key and headers.get("authorization") != f"Bearer {self.api_key}":
            return 401, _error("wrong key", "invalid_api_key"), {}
        if request.get("model") not in self.models:
            return 404, _error(f"the model {request.get('model')} does not exist", "model_not_found"), {}
        texts = [request["input"]] if isinstance(request["input"], str) else request["input"]
        if self.poison is not None and any(self.poison in text for text in texts):
            return 500, _error("the poison text", "server_error"), {}
        counts = [self._count(text) for text in texts]
        if self.max_tokens is not None and max(counts) > self.max_tokens:
            return 400, _error(f"maximum context length is {self.max_tokens} tokens", "context_length_exceeded"), {}
        await self._spend(sum(counts))
        self._record(texts, sum(counts))
        return 200, self._body(texts, sum(counts), request, fault.kind), {}

    async def _spend(self, tokens: int) -> None:
        seconds = tokens / self.tokens_per_second
        self.stats.busy_seconds += seconds
        self._busy_until = max(self._busy_until, time.monotonic()) + seconds
        pause = self._busy_until + self.latency_seconds - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)

    def _record(self, texts: list[str], tokens: int) -> None:
        with self._lock:
            self.stats.texts += len(texts)
            self.stats.tokens += tokens
            self.stats.batch_sizes.append(len(texts))
            self.stats.distinct.update(map(text_key, texts))

    def _body(self, texts: list[str], tokens: int, request: dict[str, Any], kind: str) -> Any:
        dimension = self.dimensions.get(request["model"], self.dimension) + (kind == "wrong_dimension")
        rows = [self._vector(text, dimension) for text in texts]
        if kind == "nan":
            rows[-1] = np.full(dimension, np.nan, dtype="<f4")
        if kind == "zero":
            rows[-1] = np.zeros(dimension, dtype="<f4")
        encode = _as_base64 if request.get("encoding_format") == "base64" else _as_list
        data = [{"object": "embedding", "index": i, "embedding": encode(row)} for i, row in enumerate(rows)]
        if kind == "short":
            data.pop()
        if kind == "wrong_order":
            data.reverse()
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = orjson.dumps({"object": "list", "data": data, "model": request["model"], "usage": usage})
        return answer[: len(answer) // 2] if kind == "truncated_json" else answer


async def _send(writer: asyncio.StreamWriter, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    lines = [f"HTTP/1.1 {status} -", "Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + content)
    await writer.drain()


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def _hash_vector(text: str, dimension: int) -> np.ndarray:
    """Return a unit vector that nothing but the same text has."""
    raw = np.frombuffer(hashlib.shake_128(text.encode()).digest(2 * dimension), dtype="<i2").astype("<f4") + 0.5
    return raw / np.linalg.norm(raw)


_words: dict[tuple[str, int], np.ndarray] = {}


def _word_vector(text: str, dimension: int) -> np.ndarray:
    """Return a unit vector near to those of texts with the same words: for tests that search."""
    total = np.zeros(dimension, dtype="<f4")
    for word in text.lower().split() or [""]:
        key = (word, dimension)
        total += _words[key] if key in _words else _words.setdefault(key, _hash_vector(word, dimension))
    return total / max(float(np.linalg.norm(total)), 1e-9)


def text_key(text: str) -> bytes:
    """Return the key of a text in `Stats.distinct`, which counts how often each came."""
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _as_base64(row: np.ndarray) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()


def _as_list(row: np.ndarray) -> list[float | None]:
    return [None if math.isnan(value) else value for value in row.tolist()]


def _token_counter(tokenizer: str | None) -> Callable[[str], int]:
    if tokenizer is None:
        return lambda text: math.ceil(len(text.split()) * 1.3) + 2
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(tokenizer)
    loaded.no_truncation()
    loaded.no_padding()
    return lambda text: len(loaded.encode(text).ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--tokens-per-second", type=float, default=math.inf)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--model", action="append", help="a model id it answers for; may be given again")
    parser.add_argument("--tokenizer", help="a tokenizer.json; without it tokens are words * 1.3")
    parser.add_argument("--vectors", choices=["hash", "words"], default="hash")
    parser.add_argument("--max-tokens", type=int)
    options = parser.parse_args()
    server = EmbeddingServer(
        port=options.port,
        dimension=options.dimension,
        tokens_per_second=options.tokens_per_second,
        latency_seconds=options.latency_ms / 1000,
        models=tuple(options.model or ["all-MiniLM-L6-v2"]),
        tokenizer=options.tokenizer,
        vectors=options.vectors,
        max_tokens=options.max_tokens,
    )
    with server:
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
