"""The client for asyncio. `synchronous` is made from this module by `python cixml/client/generate.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from types import TracebackType
from typing import Self, TypeVar

import httpx

from cixml.client import core
from cixml.client.asynchronous_corpora import AsyncCorpora, AsyncDocuments, AsyncReceipts
from cixml.client.asynchronous_indexes import AsyncIndexVersions
from cixml.client.base import Answer, Page
from cixml.client.core import Call, changing, path_of, read, reading, starting, without_none
from cixml.client.given import CrawlRules, PushedDocument, UrlEntry
from cixml.client.hits import CorporaSearchAnswer, HitLineage, SearchAnswer
from cixml.client.types import Event, Health, Item, Job, PlacedItem, Quota, UsageReport

Found = TypeVar("Found", bound=Answer)


class AsyncClient:
    """Speaks to one API with one key; a context manager that closes its connections.

    `base_url` and `key` are CIXML_URL and CIXML_API_KEY unless given. What a limit or an outage refused (429, 503) and
    what got no answer is tried again for `retry_seconds`, as far as it may be repeated; job starts carry an
    Idempotency-Key of their own for that. Raises ApiError, ApiUnavailableError.
    """

    def __init__(
        self,
        base_url: str | None = None,
        key: str | None = None,
        *,
        timeout_seconds: float = 60.0,
        retry_seconds: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base_url = core.address_of(base_url)
        self._retry_seconds = retry_seconds
        self._http = httpx.AsyncClient(
            base_url=self._base_url,
            headers={"Authorization": f"Bearer {core.key_of(key)}"},
            timeout=httpx.Timeout(timeout_seconds, connect=min(10.0, timeout_seconds)),
            transport=transport,
            trust_env=False,  # a proxy for the outside must not get our own API's calls
        )
        self.jobs = AsyncJobs(self)
        self.items = AsyncItems(self)
        self.corpora = AsyncCorpora(self)
        self.index_versions = AsyncIndexVersions(self)
        self.documents = AsyncDocuments(self)
        self.receipts = AsyncReceipts(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def search(
        self,
        corpus: str,
        query: str,
        *,
        top_k: int = 10,
        mode: str | None = None,
        filter: Mapping[str, object] | None = None,  # its name in the API
        threshold: float | None = None,
        group_size: int | None = None,
        neighbours: int | None = None,
        highlights: bool = False,
        explain: bool = False,
        cursor: str | None = None,
    ) -> SearchAnswer:
        """Return the chunks that answer the query best, best first.

        `mode` is `dense` (nearest vectors, the default), `keyword` or `hybrid`. `filter` is a condition on the
        documents, `{"field": "language", "eq": "en"}`, or several joined by `and`, `or` and `not`. With `group_size`
        no document has more results than that; `neighbours` chunks before and after each result come with it.
        `cursor` is `next` of the answer before.
        """
        body = without_none(
            **core.question(query, top_k, mode, filter, threshold, group_size, neighbours, highlights, explain),
            cursor=cursor,
        )
        return read(
            SearchAnswer,
            await self.send(changing("POST", path_of("corpora", corpus, "search"), body, is_repeatable=True)),
        )

    async def search_corpora(
        self,
        corpora: Sequence[str],
        query: str,
        *,
        top_k: int = 10,
        mode: str | None = None,
        filter: Mapping[str, object] | None = None,  # its name in the API
        threshold: float | None = None,
        group_size: int | None = None,
        neighbours: int | None = None,
        highlights: bool = False,
        explain: bool = False,
        cursor: str | None = None,
    ) -> CorporaSearchAnswer:
        """Return the best chunks of several corpora; the rest as in `search`."""
        body = without_none(
            **core.question(query, top_k, mode, filter, threshold, group_size, neighbours, highlights, explain),
            corpora=list(corpora),
            cursor=cursor,
        )
        return read(CorporaSearchAnswer, await self.send(changing("POST", path_of("search"), body, is_repeatable=True)))

    async def lineage(self, chunk_id: str) -> HitLineage:
        """Return where a hit comes from: page, text, chunk, vector, and the Dagster runs that made them."""
        return read(HitLineage, await self.send(reading(path_of("hits", chunk_id, "lineage"))))

    async def usage(
        self, *, first: date | None = None, end: date | None = None, group_by: Sequence[str] = ()
    ) -> UsageReport:
        """Return what was used from the day `first` up to, without, the day `end` (UTC), with every group."""
        params: dict[str, object] = {"from": first, "to": end, "group_by": group_by, "limit": core.MOST_A_PAGE}
        report = read(UsageReport, await self.send(reading("/v1/usage", params)))
        groups, following = report.content, report.metadata.next
        while following:
            page = read(UsageReport, await self.send(reading("/v1/usage", params | {"cursor": following})))
            groups, following = groups + page.content, page.metadata.next
        return report.model_copy(update={"content": groups})

    async def quota(self) -> Quota:
        """Return each limit and what is used of it."""
        return read(Quota, await self.send(reading("/v1/quota")))

    async def health(self) -> Health:
        """Return how the API's parts are; also while they are down, as long as it answers."""
        call = Call(method="GET", path="/healthz", is_repeatable=True, good=frozenset({503}))
        return read(Health, await self.send(call))

    async def send(self, call: Call) -> httpx.Response:
        """Send a request, again where that may help. Raises ApiError, ApiUnavailableError."""
        tries = core.Tries(call, base_url=self._base_url, seconds=self._retry_seconds)
        while True:
            try:
                answer = await self._http.request(
                    call.method,
                    call.path,
                    params=call.params,
                    headers=call.headers,
                    json=call.json,
                    data=call.data,
                    files=call.files,
                )
            except httpx.TransportError as error:
                await asyncio.sleep(tries.after_failure(error))
                continue
            if answer.status_code < 400 or answer.status_code in call.good:
                return answer
            await asyncio.sleep(tries.after_refusal(core.refusal(answer)))

    async def pages(
        self, model: type[Found], path: str, params: Mapping[str, object], *, most: int | None = None
    ) -> AsyncIterator[Found]:
        """Yield the entries of a list over all its pages, up to `most` of them."""
        left = most
        cursor = None
        while left is None or left > 0:
            limit = core.MOST_A_PAGE if left is None else min(left, core.MOST_A_PAGE)
            call = reading(path, {**params, "limit": limit, "cursor": cursor})
            page = read(Page[model], await self.send(call))  # type: ignore[valid-type]  # made at run time
            for entry in page.content:
                yield entry
            left = None if left is None else left - len(page.content)
            cursor = page.metadata.next
            if cursor is None:
                return

    async def stream(self, path: str) -> AsyncIterator[Event]:
        """Yield a job's events to its end; a stream that breaks off is taken up again after the last one."""
        lines = core.EventLines()
        call = reading(path)
        tries = core.Tries(call, base_url=self._base_url, seconds=self._retry_seconds)
        timeout = httpx.Timeout(core.STREAM_SECONDS, connect=10.0)
        while True:
            headers = {"Last-Event-ID": lines.last_id} if lines.last_id else {}
            error: httpx.TransportError | None = None
            try:
                async with self._http.stream("GET", path, headers=headers, timeout=timeout) as answer:
                    if answer.status_code == 204:
                        return
                    if answer.is_error:
                        await answer.aread()
                        pause = tries.after_refusal(core.refusal(answer))
                    else:
                        async for line in answer.aiter_lines():
                            event = lines.feed(line)
                            if event is None:
                                continue
                            tries = core.Tries(call, base_url=self._base_url, seconds=self._retry_seconds)
                            yield event
                            if event.name == "end":
                                return
                        error = httpx.RemoteProtocolError("the stream ended before its end")
            except httpx.TransportError as broken:
                error = broken
            if error:
                lines.forget()
                pause = tries.after_failure(error)
            await asyncio.sleep(pause)


class AsyncJobs:
    """Submit URLs and documents; see how far they are."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def submit(
        self,
        corpus: str,
        urls: Sequence[str | UrlEntry] = (),
        *,
        documents: Sequence[PushedDocument] = (),
        crawl: CrawlRules | None = None,
        create_corpus: bool = True,
        idempotency_key: str | None = None,
    ) -> Job:
        """Start a job of URLs and documents; the corpus is made on first use."""
        body = without_none(
            corpus=corpus,
            urls=core.dumped(urls) or None,
            documents=core.dumped(documents) or None,
            crawl=crawl.model_dump() if crawl else None,
            create_corpus=None if create_corpus else False,
        )
        return read(Job, await self._client.send(starting("POST", "/v1/jobs", idempotency_key, body)))

    async def get(self, job_id: str) -> Job:
        return read(Job, await self._client.send(reading(path_of("jobs", job_id))))

    def list(
        self,
        *,
        status: Sequence[str] = (),
        corpus: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        most: int | None = None,
    ) -> AsyncIterator[Job]:
        """Yield own jobs, the newest first, over all pages of the list."""
        params = {
            "status": status,
            "corpus": corpus,
            "created_after": created_after,
            "created_before": created_before,
        }
        return self._client.pages(Job, "/v1/jobs", params, most=most)

    def items(
        self,
        job_id: str,
        *,
        status: Sequence[str] = (),
        failed_stage: Sequence[str] = (),
        code: Sequence[str] = (),
        most: int | None = None,
    ) -> AsyncIterator[Item]:
        """Yield a job's items in the order they were given."""
        params = {"status": status, "failed_stage": failed_stage, "code": code}
        return self._client.pages(Item, path_of("jobs", job_id, "items"), params, most=most)

    async def cancel(self, job_id: str) -> Job:
        """Cancel what has not ended; twice is the same as once."""
        call = changing("POST", path_of("jobs", job_id, "cancel"), is_repeatable=True)
        return read(Job, await self._client.send(call))

    async def retry(
        self,
        job_id: str,
        *,
        only: Sequence[str] = (),
        stages: Sequence[str] = (),
        items: Sequence[str] = (),
        idempotency_key: str | None = None,
    ) -> Job:
        """Start a child job of the failed and cancelled items, or of those that pass every field given."""
        fields: dict[str, Sequence[str]] = {"only": only, "stages": stages, "items": items}
        body = {name: [*values] for name, values in fields.items() if values}
        return read(
            Job, await self._client.send(starting("POST", path_of("jobs", job_id, "retry"), idempotency_key, body))
        )

    async def wait(self, job_id: str, *, timeout_seconds: float | None = None) -> Job:
        """Return the job once it has ended. Raises TimeoutError, at the latest 30 seconds after it is due."""
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        answer = await self._client.send(reading(path_of("jobs", job_id)))
        while True:
            if answer.status_code != 304:
                job = read(Job, answer)
                if job.has_ended:
                    return job
            seconds = core.WAIT_SECONDS if until is None else min(core.WAIT_SECONDS, until - time.monotonic())
            if seconds <= 0:
                raise TimeoutError(f"{job_id} has not ended after {timeout_seconds} s")
            headers = {"If-None-Match": answer.headers["ETag"], "Prefer": f"wait={max(1, round(seconds))}"}
            answer = await self._client.send(reading(path_of("jobs", job_id), headers=headers))

    def events(self, job_id: str) -> AsyncIterator[Event]:
        """Yield each item as it ends and the job's way, up to `end`; nothing twice, nothing left out."""
        return self._client.stream(path_of("jobs", job_id, "events"))


class AsyncItems:
    """Dead letters: what failed for good, over all jobs."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def failed(
        self,
        *,
        corpus: str | None = None,
        stage: Sequence[str] = (),
        code: Sequence[str] = (),
        created_after: datetime | None = None,
        most: int | None = None,
    ) -> AsyncIterator[PlacedItem]:
        """Yield failed items, the newest first."""
        params = {"status": "failed", "corpus": corpus, "stage": stage, "code": code, "created_after": created_after}
        return self._client.pages(PlacedItem, "/v1/items", params, most=most)

    async def get(self, item_id: str) -> PlacedItem:
        return read(PlacedItem, await self._client.send(reading(path_of("items", item_id))))

    async def retry(self, item_id: str, *, idempotency_key: str | None = None) -> Job:
        """Start a child job of this item alone, from the stage that failed."""
        call = starting("POST", path_of("items", item_id, "retry"), idempotency_key)
        return read(Job, await self._client.send(call))
