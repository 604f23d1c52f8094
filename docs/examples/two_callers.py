"""Two callers use most of the API: each step says what it holds and fails loudly where that is not so.

By hand, beside `make up` (docs/tutorial.md sets these variables):

    python docs/examples/two_callers.py --url $CIXML_URL --key $KEY --other-key $OTHER --page ${SITE}indexes-intro.html
"""

from __future__ import annotations

import argparse
import asyncio
import time
import uuid
from collections.abc import Callable
from urllib.parse import urljoin

from cixml import ApiError, AsyncClient, Client, CrawlRules, PushedDocument, UrlEntry
from cixml.client.core import path_of, reading

WAIT_SECONDS = 180.0
NOTE = PushedDocument(external_id="note-1", markdown="# Opening hours\n\nThe bakery opens at six.", metadata={"n": 1})


def main(url: str, key: str, other_key: str, page: str) -> None:
    mark = uuid.uuid4().hex[:8]
    with Client(url, key) as alice, Client(url, other_key) as bob:
        job_id = jobs(alice, f"pages-{mark}", page)
        failures(alice, f"pages-{mark}", page)
        cancelling(alice, f"pages-{mark}", page)
        asyncio.run(once(url, key, f"pages-{mark}", page))
        corpora(alice, f"notes-{mark}")
        documents(alice, f"notes-{mark}")
        isolation(alice, bob, f"notes-{mark}", job_id)
        grants(alice, bob, f"notes-{mark}")
        numbers(alice, bob, f"pages-{mark}")
        deletion(alice, f"notes-{mark}", f"pages-{mark}")
    identity(url)


def said(what: str) -> None:
    print(f"ok  {what}", flush=True)


def refused(status: int, ask: Callable[[], object]) -> ApiError:
    """Return the refusal of a request that must be refused so."""
    try:
        found = ask()
    except ApiError as error:
        assert error.status == status, f"{error.status} and not {status}: {error}"
        assert error.error_code, error
        return error
    raise AssertionError(f"not refused with {status}: {found}")


def jobs(alice: Client, corpus: str, page: str) -> str:
    """Submit a page with what it is found by, wait, read it in every way, search it."""
    entry = UrlEntry(url=page, external_id="p-1", metadata={"product": "x"})
    job = alice.jobs.submit(corpus, [entry, page])
    done = alice.jobs.wait(job.id, timeout_seconds=WAIT_SECONDS)
    assert (done.status, done.items.indexed, done.items.skipped) == ("succeeded", 1, 1), done
    assert done.runs, "no run is told"
    events = list(alice.jobs.events(job.id))
    assert [event.name for event in events] == ["item", "item", "end"], events
    assert [found.id for found in alice.jobs.list(corpus=corpus)] == [job.id]
    fixed = alice.send(reading(f"/jobs/{job.id}"))
    assert fixed.json()["id"] == job.id
    tag = {"If-None-Match": fixed.headers["ETag"]}
    assert alice.send(reading(path_of("jobs", job.id), headers=tag)).status_code == 304
    (first, again) = alice.jobs.items(job.id)
    assert (first.external_id, first.metadata, again.duplicate_of) == ("p-1", {"product": "x"}, first.id)
    assert alice.items.get(first.id).job_id == job.id
    hits = alice.search(corpus, "how is this used", top_k=3)
    assert hits.results, hits
    assert {hit.url for hit in hits.results} == {page}
    again_done = alice.jobs.wait(alice.jobs.submit(corpus, [page]).id, timeout_seconds=WAIT_SECONDS)
    assert again_done.items.unchanged == 1, again_done
    crawl = alice.jobs.submit(corpus, [page], crawl=CrawlRules(mode="links", max_pages=2))
    found = alice.jobs.wait(crawl.id, timeout_seconds=WAIT_SECONDS)
    assert found.crawl, found
    assert found.has_ended, found
    said("jobs: submit, wait, events, list, items, ETag, the names without /v1, unchanged, crawl, search")
    return job.id


def failures(alice: Client, corpus: str, page: str) -> None:
    """A page that is not there is a dead letter; it is retried alone, and as all that failed of its job."""
    missing = urljoin(page, f"missing-{uuid.uuid4().hex[:8]}.html")
    job = alice.jobs.wait(alice.jobs.submit(corpus, [page, missing]).id, timeout_seconds=WAIT_SECONDS)
    assert (job.status, job.failed_stage) == ("partial", "scraping"), job
    (dead,) = (item for item in alice.items.failed(corpus=corpus, code=["http_4xx"]) if item.url == missing)
    assert dead.error, dead
    assert (dead.job_id, dead.error.http_status) == (job.id, 404), dead
    for child in (alice.items.retry(dead.id), alice.jobs.retry(job.id, only=["failed"], stages=["scraping"])):
        ended = alice.jobs.wait(child.id, timeout_seconds=WAIT_SECONDS)
        assert (ended.parent_job_id, ended.items.total, ended.status) == (job.id, 1, "failed"), ended
    good = next(iter(alice.jobs.items(job.id, status=["unchanged", "indexed"])))
    refused(409, lambda: alice.items.retry(good.id))
    refused(422, lambda: alice.jobs.submit(corpus, ["ftp://example.com/"]))
    said("failures: dead letters, retry of an item and of a job, 409, 422")


def cancelling(alice: Client, corpus: str, page: str) -> None:
    """A cancelled job ends, and every item of it is in a final state."""
    job = alice.jobs.submit(corpus, [urljoin(page, f"?{number}") for number in range(20)])
    alice.jobs.cancel(job.id)
    ended = alice.jobs.wait(job.id, timeout_seconds=WAIT_SECONDS)
    assert ended.items.ended == ended.items.total, ended
    assert alice.jobs.cancel(job.id).status == ended.status
    said(f"cancel: {ended.status}, {ended.items.cancelled} of {ended.items.total} items cancelled")


async def once(url: str, key: str, corpus: str, page: str) -> None:
    """The same submission 20 times at once under one Idempotency-Key is one job; another body is refused."""
    async with AsyncClient(url, key) as alice:
        name = uuid.uuid4().hex
        jobs = await asyncio.gather(*(alice.jobs.submit(corpus, [page], idempotency_key=name) for _ in range(20)))
        assert len({job.id for job in jobs}) == 1, jobs
        try:
            await alice.jobs.submit(corpus, [page, page], idempotency_key=name)
        except ApiError as error:
            assert error.status == 422, error
        else:
            raise AssertionError("the key was taken for another body")
        async for event in alice.jobs.events(jobs[0].id):
            last = event
        assert last.name == "end", last
    said("idempotency: 20 at once are one job; events to the end")


def corpora(alice: Client, corpus: str) -> None:
    """Make a corpus, change it under its tag, read it."""
    made = alice.corpora.create(corpus, title="Notes", max_tokens=64, overlap_tokens=8, require_if_match=True)
    assert made.active_index, made
    assert made.active_index.chunking.max_tokens == 64, made
    refused(409, lambda: alice.corpora.create(corpus))
    refused(428, lambda: alice.corpora.patch(corpus, title="X"))
    changed = alice.corpora.patch(corpus, title="Our notes", if_match=made.etag)
    refused(412, lambda: alice.corpora.patch(corpus, title="X", if_match=made.etag))
    assert alice.corpora.get(corpus).title == changed.title == "Our notes"
    assert corpus in [found.name for found in alice.corpora.list()]
    said("corpora: create, get, list, patch under If-Match; 409, 412, 428")


def documents(alice: Client, corpus: str) -> None:
    """Push a text and a file; read them in every way; push them again."""
    put = alice.documents.put(corpus, NOTE)
    upload = alice.documents.upload(
        corpus, b"<h1>Bread</h1><p>Rye bread is baked on Friday mornings only.</p>", name="b.html"
    )
    for job in (put, upload):
        assert alice.jobs.wait(job.id, timeout_seconds=WAIT_SECONDS).status == "succeeded", job
    assert alice.search(corpus, "When does the bakery open?", top_k=1).results
    (note,) = alice.documents.list(corpus, external_id="note-1")
    detail = alice.documents.get(corpus, note.id)
    assert (detail.metadata, len(detail.versions), detail.title) == ({"n": 1}, 1, "Opening hours"), detail
    chunks = list(alice.documents.chunks(corpus, note.id))
    text = alice.documents.content(corpus, note.id).body.decode()
    assert chunks, detail
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks), chunks
    raw = alice.documents.content(corpus, note.id, layer="raw")
    assert raw.body.decode() == NOTE.markdown, raw
    assert {source.external_id for source in alice.corpora.sources(corpus)} == {"note-1", "b.html"}
    again = alice.jobs.wait(alice.documents.put(corpus, NOTE).id, timeout_seconds=WAIT_SECONDS)
    assert again.items.unchanged == 1, again
    refused(409, lambda: alice.documents.refresh(corpus, note.id))
    said("documents: put, upload, list, get, chunks, content, sources; a pushed one can't be refreshed")


def isolation(alice: Client, bob: Client, corpus: str, job_id: str) -> None:
    """What is Alice's answers Bob like what is not there."""
    owner = alice.corpora.get(corpus).owner
    document = next(iter(alice.documents.list(corpus))).id
    item = next(iter(alice.jobs.items(job_id))).id
    none = "0" * 32
    for theirs, nobodys in (
        (path_of("jobs", job_id), path_of("jobs", f"job_{none}")),
        (path_of("jobs", job_id, "items"), path_of("jobs", f"job_{none}", "items")),
        (path_of("items", item), path_of("items", f"item_{none}")),
        (path_of("corpora", f"{owner}:{corpus}"), path_of("corpora", f"{owner}:nothing")),
        (
            path_of("corpora", f"{owner}:{corpus}", "documents", document),
            path_of("corpora", f"{owner}:nothing", "documents", document),
        ),
    ):
        answers = [refused(404, lambda path=path: bob.send(reading(path))) for path in (theirs, nobodys)]  # type: ignore[misc]
        assert answers[0].message == answers[1].message, answers
        assert answers[0].error_code == answers[1].error_code, answers
    refused(404, lambda: bob.jobs.cancel(job_id))
    refused(404, lambda: bob.items.retry(item))
    refused(404, lambda: bob.search(f"{owner}:{corpus}", "bakery"))
    assert job_id not in [job.id for job in bob.jobs.list()]
    said("isolation: another's job, item, corpus and document answer like missing ones")


def grants(alice: Client, bob: Client, corpus: str) -> None:
    """A reader searches, a writer pushes, nobody does once the grant is taken."""
    own = f"own-{uuid.uuid4().hex[:8]}"
    bobs_id = bob.corpora.create(own).owner
    bob.corpora.delete(own)
    shared = f"{alice.corpora.get(corpus).owner}:{corpus}"
    alice.corpora.grant(corpus, bobs_id, "reader")
    assert bob.search(shared, "bakery", top_k=1).results
    refused(403, lambda: bob.documents.put(shared, NOTE))
    alice.corpora.grant(corpus, bobs_id, "writer")
    job = bob.documents.put(shared, PushedDocument(external_id="note-2", text="Bob was here."))
    assert bob.jobs.wait(job.id, timeout_seconds=WAIT_SECONDS).status == "succeeded"
    refused(403, lambda: bob.corpora.delete(shared))
    assert [grant.role for grant in alice.corpora.grants(corpus)] == ["writer"]
    alice.corpora.revoke(corpus, bobs_id)
    refused(404, lambda: bob.search(shared, "bakery"))
    assert bob.jobs.get(job.id).status == "succeeded", "a caller keeps its jobs"
    said("grants: reader, writer, taken away")


def numbers(alice: Client, bob: Client, corpus: str) -> None:
    """Usage and quota are one's own."""
    used = {group.corpus: group for group in alice.usage(group_by=["corpus"]).content}
    assert used[corpus].pages > 0, used
    assert used[corpus].embedding_tokens > 0, used
    assert corpus not in {group.corpus for group in bob.usage(group_by=["corpus"]).content}
    assert alice.quota().corpora.used >= 2
    assert alice.health().status in ("ok", "degraded")
    refused(403, lambda: alice.send(reading("/v1/audit")))
    said("numbers: usage, quota, health; the audit record is for operators")


def deletion(alice: Client, notes: str, pages: str) -> None:
    """Delete a document, those of a filter, and both corpora; each receipt ends as done."""
    (note,) = alice.documents.list(notes, external_id="note-1")
    receipts = [alice.documents.delete(notes, note.id)]
    refused(404, lambda: alice.documents.get(notes, note.id))
    assert alice.documents.count_matching(notes, external_ids=["b.html", "no"]) == 1
    receipts.append(alice.documents.delete_matching(notes, external_ids=["b.html"]))
    refused(428, lambda: alice.corpora.delete(notes))
    receipts.append(alice.corpora.delete(notes, if_match=alice.corpora.get(notes).etag))
    receipts.append(alice.corpora.delete(pages))
    refused(404, lambda: alice.search(pages, "anything"))
    done = [alice.receipts.wait(receipt.id, timeout_seconds=WAIT_SECONDS) for receipt in receipts[:2]]
    assert [receipt.removed.documents for receipt in done] == [1, 1], done
    for receipt in receipts[2:]:  # the partition in Dagster may wait for half a minute: its rows do not
        until = time.monotonic() + WAIT_SECONDS
        while (found := alice.receipts.get(receipt.id)).status != "done" and found.waits_for is None:
            assert time.monotonic() < until, found
            time.sleep(0.2)
        assert found.removed.vectors > 0, found
    said("deletion: a document, a filter, corpora; nothing of them is left in Postgres")


def identity(url: str) -> None:
    """An unknown key is refused; whoever has none, too."""
    with Client(url, "cixk_unknown") as nobody:
        refused(401, nobody.quota)
        assert nobody.health().status in ("ok", "degraded")
    said("identity: an unknown key is refused")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Two callers use all of the API.")
    parser.add_argument("--url", required=True, help="address of the API")
    parser.add_argument("--key", required=True, help="Alice's key")
    parser.add_argument("--other-key", required=True, help="Bob's key")
    parser.add_argument("--page", required=True, help="a page that may be fetched, beside which others are missing")
    given = parser.parse_args()
    main(given.url, given.key, given.other_key, given.page)
