"""Two callers and an operator play through the whole API over HTTP, as a second tenant would meet it.

Against a running stack whose fetcher may reach loopback:

    CIXML_FETCH__ALLOW_NETWORKS='["127.0.0.0/8"]' cixml up --detach
    python -m tests.two_callers

The pages come from a small web server of its own. Each step asserts what it promises and prints its name.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from cixml import keys
from cixml.embedded.state import Home
from cixml.embedded.status import read_status
from resources.membership import caller_id_of
from resources.settings import Settings
from tests.fakes.web_server import Page, WebServer

ENDED = {"succeeded", "partial", "failed", "cancelled"}
SECONDS = 120.0
SLOW_PAGES = 12


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A key, and the connection that uses it."""

    caller_id: str
    http: httpx.Client

    def ask(self, method: str, path: str, *, status: int = 200, **more: Any) -> httpx.Response:
        answer = self.http.request(method, path, **more)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        assert answer.headers["x-request-id"], path
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json", path
            assert answer.json()["error_code"], path
        return answer

    def json(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        return self.ask(method, path, status=status, **more).json()

    def submit(self, corpus: str, *urls: str, **more: Any) -> Any:
        answer = self.ask("POST", "/v1/jobs", status=202, json={"corpus": corpus, "urls": list(urls), **more})
        assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
        return answer.json()

    def ended(self, job: Any) -> Any:
        """Return the job at its end, waited for by long polls."""
        path, deadline = f"/v1/jobs/{job['id']}", time.monotonic() + SECONDS
        answer = self.ask("GET", path)
        while answer.json()["status"] not in ENDED:
            assert time.monotonic() < deadline, answer.text
            headers = {"Prefer": "wait=10", "If-None-Match": answer.headers["etag"]}
            waited = self.http.get(path, headers=headers)
            assert waited.status_code in (200, 304), waited.text
            answer = waited if waited.status_code == 200 else answer
        return answer.json()

    def hits(self, corpus: str, query: str) -> list[Any]:
        found: list[Any] = self.json("POST", f"/v1/corpora/{corpus}/search", json={"query": query})["results"]
        return found

    def all(self, path: str) -> Iterator[Any]:
        """Yield what a list holds, over its pages."""
        separator = "&" if "?" in path else "?"
        page = self.json("GET", f"{path}{separator}limit=2")
        yield from page["content"]
        while following := page["_metadata"]["next"]:
            page = self.json("GET", f"{path}{separator}limit=2&cursor={following}")
            yield from page["content"]


class Play:
    """The steps, in their order: a later one builds on what an earlier one left."""

    def __init__(self, *, alice: Caller, bob: Caller, operator: Caller, site: WebServer) -> None:
        self.alice, self.bob, self.operator, self.site = alice, bob, operator, site
        self.deletion: Any = None
        self.steps: list[Callable[[], None]] = [
            self.identity,
            self.jobs,
            self.idempotency,
            self.failures_and_retry,
            self.cancel,
            self.delete_corpus,
            self.events,
            self.fixed_names,
            self.pushed_documents,
            self.documents,
            self.corpora,
            self.grants,
            self.isolation,
            self.limits,
            self.usage,
            self.delete_documents,
            self.audit,
            self.receipt,
        ]

    def url(self, path: str) -> str:
        return f"{self.site.url}{path}"

    def identity(self) -> None:
        """Who has no key, or a wrong one, is told so; an operator's key alone is no caller's."""
        with httpx.Client(base_url=self.alice.http.base_url, trust_env=False) as nobody:
            assert nobody.get("/v1/jobs").status_code == 401
            assert nobody.get("/v1/jobs", headers={"Authorization": "Bearer wrong"}).status_code == 401
            assert nobody.get("/livez").status_code == nobody.get("/readyz").status_code == 200
            assert nobody.get("/healthz").json()["status"] in ("ok", "degraded")
        self.alice.json("GET", "/v1/audit", status=403)

    def jobs(self) -> None:
        """Submit, wait, look at the items, search; the same again is unchanged."""
        paths = [f"/docs/{number}" for number in range(3)]
        job = self.alice.ended(self.alice.submit("manual", *map(self.url, paths)))
        assert (job["status"], job["items"]["indexed"], job["progress"]) == ("succeeded", 3, 1.0)
        items = list(self.alice.all(f"/v1/jobs/{job['id']}/items"))
        assert [item["url"] for item in items] == [self.url(path) for path in paths]
        assert all(item["http"]["status"] == 200 and item["robots"] and item["chunks"]["added"] for item in items)
        assert self.alice.hits("manual", "page two of the manual talks about turbines")[0]["url"] == self.url("/docs/2")
        again = self.alice.ended(self.alice.submit("manual", *map(self.url, paths)))
        assert again["items"]["unchanged"] == 3
        assert again["usage"]["embedding_tokens"] == 0
        assert {job["id"], again["id"]} <= {each["id"] for each in self.alice.all("/v1/jobs?corpus=manual")}
        answer = self.alice.ask("GET", f"/v1/jobs/{job['id']}")
        self.alice.ask("GET", f"/v1/jobs/{job['id']}", status=304, headers={"If-None-Match": answer.headers["etag"]})

    def idempotency(self) -> None:
        """Twenty at once under one key are one job; another body under it is refused."""
        key, body = str(uuid4()), {"corpus": "once", "urls": [self.url("/docs/0")]}

        def post(_: int) -> httpx.Response:
            return self.alice.ask("POST", "/v1/jobs", status=202, json=body, headers={"Idempotency-Key": key})

        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(post, range(20)))
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert sum("idempotency-replayed" in answer.headers for answer in answers) == 19
        other = {**body, "urls": [self.url("/docs/1")]}
        self.alice.ask("POST", "/v1/jobs", status=422, json=other, headers={"Idempotency-Key": key})
        assert self.alice.ended(answers[0].json())["status"] == "succeeded"

    def failures_and_retry(self) -> None:
        """A page that fails says where and why; once it is mended, the failed ones alone are tried again."""
        job = self.alice.ended(self.alice.submit("manual", self.url("/docs/0"), self.url("/absent")))
        assert job["status"] == "partial"
        (failed,) = self.alice.all(f"/v1/jobs/{job['id']}/items?status=failed")
        assert (failed["failed_stage"], failed["error"]["code"]) == ("scraping", "http_4xx")
        self.site.pages["/absent"] = Page("<p>The page was found after all, behind the gasworks.</p>")
        child = self.alice.json("POST", f"/v1/jobs/{job['id']}/retry", status=202, json={"only": ["failed"]})
        assert child["parent_job_id"] == job["id"]
        done = self.alice.ended(child)
        assert (done["status"], done["items"]["total"]) == ("succeeded", 1)
        assert self.alice.hits("manual", "behind the gasworks")[0]["url"] == self.url("/absent")
        self.alice.ended(self.alice.submit("manual", self.url("/never")))
        (letter,) = [item for item in self.alice.all("/v1/items?corpus=manual") if item["url"] == self.url("/never")]
        child = self.alice.json("POST", f"/v1/items/{letter['id']}/retry", status=202)
        assert self.alice.ended(child)["items"]["failed"] == 1

    def cancel(self) -> None:
        """A job under way is cancelled: what waits starts no more, and nothing of it is half there."""
        job = self.alice.submit("slow", *[self.url(f"/slow/{number}") for number in range(SLOW_PAGES)])
        self.alice.ask("POST", f"/v1/jobs/{job['id']}/cancel", status=202)
        done = self.alice.ended(job)
        assert done["status"] == "cancelled"
        assert done["items"]["cancelled"] + done["items"]["indexed"] == SLOW_PAGES
        assert len(list(self.alice.all("/v1/corpora/slow/documents?status=live"))) == done["items"]["indexed"]
        self.alice.ask("POST", f"/v1/jobs/{job['id']}/cancel", status=200)

    def events(self) -> None:
        """A stream tells each item once, and ends; who comes back with the last id has missed nothing."""
        job = self.alice.submit("manual", *[self.url(f"/docs/{number}") for number in range(3)])
        with self.alice.http.stream("GET", f"/v1/jobs/{job['id']}/events", timeout=SECONDS) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = list(stream.iter_lines())
        names = [line.removeprefix("event: ") for line in lines if line.startswith("event:")]
        assert (names.count("item"), names[-1]) == (3, "end")
        last = [line.removeprefix("id: ") for line in lines if line.startswith("id:")][-1]
        self.alice.ask("GET", f"/v1/jobs/{job['id']}/events", status=204, headers={"Last-Event-ID": last})

    def fixed_names(self) -> None:
        """The customer's names, without a version."""
        job = self.alice.json("POST", "/jobs", status=202, json={"corpus": "manual", "urls": [self.url("/docs/1")]})
        self.alice.ended(job)
        assert self.alice.json("GET", f"/jobs/{job['id']}")["status"] == "succeeded"
        assert self.alice.json("GET", "/jobs/")["content"][0]["id"] == job["id"]

    def pushed_documents(self) -> None:
        """Texts, Markdown and files come with the request and are found like pages."""
        text = {"external_id": "memo", "text": "The zeppelin lands on Tuesday.", "metadata": {"kind": "memo"}}
        mixed = self.alice.submit("pushed", self.url("/docs/0"), documents=[text])
        put = self.alice.json(
            "PUT",
            "/v1/corpora/pushed/documents",
            status=202,
            json={"external_id": "guide", "markdown": "# Guide\n\n## Anchors\n\nDrop the anchor before noon."},
        )
        file = ("harbour.html", b"<h1>Harbour</h1><p>The harbour master sells lanterns.</p>", "text/html")
        pushed = self.alice.json("POST", "/v1/corpora/pushed/files", status=202, files={"file": file})
        for job in (mixed, put, pushed):
            assert self.alice.ended(job)["status"] == "succeeded"
        for query, external_id in (
            ("when does the zeppelin land", "memo"),
            ("drop the anchor before noon", "guide"),
            ("who sells lanterns at the harbour", "harbour.html"),
        ):
            hit = self.alice.hits("pushed", query)[0]
            assert (hit["external_id"], hit["url"]) == (external_id, None)
        same = self.alice.ended(self.alice.json("PUT", "/v1/corpora/pushed/documents", status=202, json=text))
        assert same["items"]["unchanged"] == 1

    def documents(self) -> None:
        """Read what is stored: documents, versions, chunks, contents, sources; fetch one again."""
        (memo,) = self.alice.all("/v1/corpora/pushed/documents?external_id=memo")
        path = f"/v1/corpora/pushed/documents/{memo['id']}"
        answer = self.alice.ask("GET", path)
        assert (len(answer.json()["versions"]), answer.json()["metadata"]) == (1, {"kind": "memo"})
        self.alice.ask("GET", path, status=304, headers={"If-None-Match": answer.headers["etag"]})
        layer = self.alice.ask("GET", f"{path}/content?layer=text").text
        (chunk,) = self.alice.all(f"{path}/chunks")
        assert layer[chunk["start"] : chunk["end"]] == chunk["text"]
        raw = self.alice.ask("GET", f"{path}/content?layer=raw")
        assert (raw.text, raw.headers["content-security-policy"]) == ("The zeppelin lands on Tuesday.", "sandbox")
        assert len(list(self.alice.all("/v1/corpora/pushed/sources"))) == 4
        (page,) = self.alice.all(f"/v1/corpora/pushed/documents?url={self.url('/docs/0')}")
        job = self.alice.json("POST", f"/v1/corpora/pushed/documents/{page['id']}/refresh", status=202)
        assert self.alice.ended(job)["items"]["unchanged"] == 1

    def corpora(self) -> None:
        """Make one with settings, change it under If-Match, list."""
        made = self.alice.ask("POST", "/v1/corpora", status=201, json={"name": "settled", "require_if_match": True})
        self.alice.ask("POST", "/v1/corpora", status=409, json={"name": "settled"})
        self.alice.ask("PATCH", "/v1/corpora/settled", status=428, json={"title": "x"})
        tag = {"If-Match": made.headers["etag"]}
        assert self.alice.json("PATCH", "/v1/corpora/settled", json={"title": "Set"}, headers=tag)["title"] == "Set"
        self.alice.ask("PATCH", "/v1/corpora/settled", status=412, json={"title": "late"}, headers=tag)
        assert {"manual", "pushed", "settled"} <= {each["name"] for each in self.alice.all("/v1/corpora")}

    def grants(self) -> None:
        """A corpus is shared: a reader searches, a writer submits, and who lost the grant sees nothing."""
        shared = f"{self.alice.caller_id}:manual"
        self.bob.ask("GET", f"/v1/corpora/{shared}", status=404)
        grant = f"/v1/corpora/manual/grants/{self.bob.caller_id}"
        self.alice.ask("PUT", grant, json={"role": "reader"})
        assert self.bob.hits(shared, "turbines")
        self.bob.ask("POST", "/v1/jobs", status=403, json={"corpus": shared, "urls": [self.url("/docs/3")]})
        self.alice.ask("PUT", grant, json={"role": "writer"})
        job = self.bob.submit(shared, self.url("/docs/3"))
        assert self.bob.ended(job)["status"] == "succeeded"
        assert self.alice.json("GET", "/v1/corpora/manual/grants")["content"][0]["caller_id"] == self.bob.caller_id
        self.alice.ask("DELETE", grant, status=204)
        self.bob.ask("POST", f"/v1/corpora/{shared}/search", status=404, json={"query": "turbines"})
        assert self.bob.json("GET", f"/v1/jobs/{job['id']}")["status"] == "succeeded"  # its own job stays its own

    def isolation(self) -> None:
        """What is another's answers as what is not there."""
        job = next(self.alice.all("/v1/jobs"))
        missing = f"job_{'0' * len(job['id'].removeprefix('job_'))}"
        for method, path in (("GET", "/v1/jobs/{}"), ("GET", "/v1/jobs/{}/items"), ("POST", "/v1/jobs/{}/cancel")):
            anothers, absent = (
                self.bob.ask(method, path.format(each), status=404).json() for each in (job["id"], missing)
            )
            for body in (anothers, absent):
                for name in ("request_id", "trace_id", "instance"):
                    body.pop(name, None)
            assert anothers == absent
        assert not {each["caller_id"] for each in self.bob.all("/v1/jobs")} - {self.bob.caller_id}

    def limits(self) -> None:
        """Every answer tells the limit; the quota tells them all."""
        answer = self.alice.ask("GET", "/v1/quota")
        assert answer.headers["ratelimit"]
        assert answer.headers["ratelimit-policy"]
        assert answer.json()["corpora"]["used"] == len(list(self.alice.all("/v1/corpora")))

    def usage(self) -> None:
        """What was used, by corpus and operation: each caller its own, the operator all."""
        own = self.alice.json("GET", "/v1/usage?group_by=corpus,operation")
        indexed = {each["corpus"]: each for each in own["content"] if each["operation"] == "index"}
        assert indexed["manual"]["pages"] >= 4
        assert indexed["manual"]["embedding_tokens"] > 0
        deadline = time.monotonic() + SECONDS  # searches are counted once a second
        while not self.alice.json("GET", "/v1/usage")["total"]["searches"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        by_caller = self.operator.json("GET", "/v1/usage?group_by=caller")["content"]
        assert {self.alice.caller_id, self.bob.caller_id} <= {each["caller_id"] for each in by_caller}

    def delete_documents(self) -> None:
        """One by its id, others by a filter that is tried dry first: gone from searches at once."""
        (memo,) = self.alice.all("/v1/corpora/pushed/documents?external_id=memo")
        receipt = self.alice.json("DELETE", f"/v1/corpora/pushed/documents/{memo['id']}", status=202)
        assert all(hit["external_id"] != "memo" for hit in self.alice.hits("pushed", "zeppelin"))
        self.done(receipt)
        matching = {"filter": {"external_ids": ["guide", "harbour.html"]}, "dry_run": True}
        assert self.alice.json("POST", "/v1/corpora/pushed/documents/delete", json=matching)["documents"] == 2
        receipt = self.alice.json(
            "POST", "/v1/corpora/pushed/documents/delete", status=202, json={**matching, "dry_run": False}
        )
        assert self.done(receipt)["removed"]["documents"] == 2
        assert len(list(self.alice.all("/v1/corpora/pushed/documents"))) == 1

    def delete_corpus(self) -> None:
        """A corpus goes with a receipt, its open job is cancelled, and its name is free at once."""
        job = self.alice.submit("gone", *[self.url(f"/slow/{number}") for number in range(SLOW_PAGES)])
        answer = self.alice.ask("DELETE", "/v1/corpora/gone", status=202)
        self.alice.ask("GET", "/v1/corpora/gone", status=404)
        self.bob.ask("GET", answer.headers["location"], status=404)
        again = self.alice.submit("gone", self.url("/docs/0"))
        assert self.alice.ended(job)["status"] == "cancelled"
        assert self.alice.ended(again)["status"] == "succeeded"
        self.deletion = answer.json()

    def receipt(self) -> None:
        """Nothing is left of it; what was made under its name since then is whole."""
        assert self.done(self.deletion)["removed"]["jobs"] == 1
        assert len(list(self.alice.all("/v1/corpora/gone/documents"))) == 1

    def audit(self) -> None:
        """The operator reads who did what."""
        deadline = time.monotonic() + SECONDS  # records are written once a second
        while not self.operator.json("GET", f"/v1/audit?caller_id={self.bob.caller_id}&limit=1")["content"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def done(self, receipt: Any) -> Any:
        """Return the receipt once nothing is left of what it names but, of a corpus, its partition in Dagster.

        That goes when no claim can name it any more, half a minute later.
        """
        deadline = time.monotonic() + SECONDS
        while receipt["status"] != "done" and receipt["waits_for"] != "dispatch":
            assert time.monotonic() < deadline, receipt
            time.sleep(0.2)
            receipt = self.alice.json("GET", f"/v1/receipts/{receipt['id']}")
        return receipt


def pages() -> dict[str, Page]:
    """The site: a manual, and pages that answer late."""
    words = ("boilers", "pistons", "turbines", "valves")
    manual = {
        f"/docs/{number}": Page(f"<h1>Page {number}</h1><p>This page of the manual talks about {word} at length.</p>")
        for number, word in enumerate(words)
    }
    slow = {f"/slow/{number}": Page(f"<p>Slow page {number}.</p>", delay_seconds=2) for number in range(SLOW_PAGES)}
    return manual | slow


def play(url: str, new_key: Callable[[str, bool], str], pepper: str, say: Callable[[str], None]) -> None:
    """Play every step. `new_key` makes the key of a name; True for an operator's."""
    with ExitStack() as stack:
        site = stack.enter_context(WebServer(pages()))
        callers = []
        for name in ("alice", "bob", "operator"):
            key = new_key(f"{name}-{uuid4().hex[:8]}", name == "operator")
            http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False)
            callers.append(Caller(caller_id=caller_id_of(key, pepper), http=stack.enter_context(http)))
        alice, bob, operator = callers
        for step in Play(alice=alice, bob=bob, operator=operator, site=site).steps:
            started = time.monotonic()
            step()
            say(f"{step.__name__:20} {time.monotonic() - started:6.2f} s   {step.__doc__}")


def main() -> None:
    """Play against the stack of this checkout."""
    parser = argparse.ArgumentParser(description="Two callers play through the whole API of a running stack.")
    parser.parse_args()
    settings = Settings.load()
    home = Home(settings.home)
    url = read_status(home).api_url
    if url is None:
        parser.error("no stack runs: start one with 'cixml up --detach'")
    path, pepper = keys.key_store(home, settings)

    def new_key(name: str, is_operator: bool) -> str:
        return keys.create_key(path, pepper, name=name, is_operator=is_operator)

    play(url, new_key, pepper, print)


if __name__ == "__main__":
    main()
