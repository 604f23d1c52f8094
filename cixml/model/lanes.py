"""Which texts are encoded next. Two lanes, each with a thread of its own: searches do not wait for indexing.

Measured on two cores with the bulk lane full: a query takes 17 ms (p95 20), alone 6. In one lane it would wait for the
batch under way, up to 0.25 s.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from resources.embedding.batching import pack

BATCH_TOKENS = 512
"""Most tokens, padding included, in one run of the model: 0.25 s on two cores. Larger runs are not faster."""

WINDOW_TEXTS = 256
"""Waiting texts that are sorted by length together: first come first served beyond it."""

URGENT_TOKENS = 64
"""A single text up to this length is a query."""

MAX_WAITING_TOKENS = 262_144
"""About two minutes of work. Above it new requests are refused: their callers would give up before their turn."""


class Encode(Protocol):
    """What the lanes need of the model."""

    def encode(self, batch: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]: ...


class OverloadedError(Exception):
    """Too much is waiting; try again later."""


@dataclass(eq=False, slots=True)
class Ticket:
    """One request's texts: the vectors found so far, and who waits for them."""

    texts: list[list[int]]
    vectors: list[npt.NDArray[np.float32] | None]
    done: asyncio.Future[None]
    missing: int = field(default=0)

    def put(self, position: int, vector: npt.NDArray[np.float32]) -> None:
        self.vectors[position] = vector
        self.missing -= 1
        if self.missing == 0 and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Lane:
    """A queue of texts and the task that encodes them in batches, one at a time."""

    def __init__(self, model: Encode, name: str) -> None:
        self._model = model
        self._waiting: deque[tuple[Ticket, int]] = deque()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"encode-{name}")
        self.waiting_tokens = 0

    def add(self, ticket: Ticket) -> None:
        self._waiting.extend((ticket, position) for position in range(len(ticket.texts)))
        self.waiting_tokens += sum(map(len, ticket.texts))
        self._wake.set()

    async def work(self) -> None:
        """Encode for ever; cancelled at the end."""
        while True:
            await self._wake.wait()
            for batch in self._take_window():
                await self._encode(batch)
            if not self._waiting:
                self._wake.clear()

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _take_window(self) -> Iterator[list[tuple[Ticket, int]]]:
        count = min(len(self._waiting), WINDOW_TEXTS)
        window = [self._waiting.popleft() for _ in range(count)]
        return padded_batches(window)

    async def _encode(self, batch: list[tuple[Ticket, int]]) -> None:
        wanted = [(ticket, position) for ticket, position in batch if not ticket.done.done()]
        self.waiting_tokens -= sum(len(ticket.texts[position]) for ticket, position in batch)
        if not wanted:
            return
        ids = [ticket.texts[position] for ticket, position in wanted]
        run = asyncio.get_running_loop().run_in_executor(self._thread, self._model.encode, ids)
        await asyncio.wait({run})
        # Whatever went wrong is the requests' to report: the lane itself must live on.
        if error := run.exception():
            for ticket, _ in wanted:
                ticket.fail(error)
            return
        for (ticket, position), vector in zip(wanted, run.result(), strict=True):
            ticket.put(position, vector)


def padded_batches(window: list[tuple[Ticket, int]]) -> Iterator[list[tuple[Ticket, int]]]:
    """Yield batches of like length whose padded size stays within BATCH_TOKENS."""
    sized = [((ticket, position), len(ticket.texts[position])) for ticket, position in window]
    for rough in pack(sized, max_tokens=BATCH_TOKENS, max_texts=WINDOW_TEXTS):
        # `pack` bounds the sum and puts the longest first; padding makes each text as long as that one.
        longest = len(rough[0][0].texts[rough[0][1]])
        fits = max(1, BATCH_TOKENS // longest)
        yield from (rough[start : start + fits] for start in range(0, len(rough), fits))


class Lanes:
    """Puts each request into its lane."""

    def __init__(self, model: Encode) -> None:
        self._urgent = Lane(model, "query")
        self._bulk = Lane(model, "bulk")
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def waiting_tokens(self) -> int:
        return self._urgent.waiting_tokens + self._bulk.waiting_tokens

    def start(self) -> None:
        self._tasks = [asyncio.create_task(lane.work()) for lane in (self._urgent, self._bulk)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._urgent.close()
        self._bulk.close()

    def submit(self, texts: list[list[int]]) -> Ticket:
        """Queue one request; await its `done`, cancel `done` to give up. Raises OverloadedError."""
        if self.waiting_tokens > MAX_WAITING_TOKENS:
            raise OverloadedError
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket = Ticket(texts=texts, vectors=[None] * len(texts), done=done, missing=len(texts))
        is_query = len(texts) == 1 and len(texts[0]) <= URGENT_TOKENS
        (self._urgent if is_query else self._bulk).add(ticket)
        return ticket
