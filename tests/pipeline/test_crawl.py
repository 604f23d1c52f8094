"""A crawl on the whole product: by links, by sitemap, and the same again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cixml.client import Client
from tests.fakes.web_server import Page, WebServer
from tests.stack import Stack, ended, poll

ENDS = "indexed,unchanged,skipped,failed"


def page(name: str, *links: str, head: str = "") -> Page:
    anchors = "".join(f'<li><a href="{link}">{link}</a></li>' for link in links)
    text = f"This page of the small site is about {name}, and about nothing else in the whole world."
    return Page(f"<html><head><title>{name}</title>{head}</head><body><p>{text}</p><ul>{anchors}</ul></body></html>")


def site() -> dict[str, Page]:
    pages = {
        "/": page("home", "/a", "/b", "/calendar?month=2026-11", "/private/x", "https://elsewhere.example/"),
        "/a": page("apples", "/", "/b#part", "/print/b?PHPSESSID=1", "/lost"),
        "/b": page("bears", "/copy-of-b"),
        "/print/b": page("bears on paper", head='<link rel="canonical" href="/b">'),
        "/private/x": page("secrets"),
        "/old": page("what is linked no more"),
    }
    pages["/copy-of-b"] = pages["/b"]
    for number in range(200):
        year, month = 2026 + (10 + number) // 12, (10 + number) % 12 + 1
        following = f"{2026 + (11 + number) // 12}-{(11 + number) % 12 + 1:02}"
        pages[f"/calendar?month={year}-{month:02}"] = page(f"month {number}", f"/calendar?month={following}")
    return pages


def submit(stack: Stack, key: str, corpus: str, url: str, **crawl: Any) -> str:
    body = {"corpus": corpus, "urls": [url], "crawl": crawl}
    answer = httpx.post(f"{stack.url}/v1/jobs", json=body, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 202, answer.text
    found: str = answer.json()["id"]
    return found


def items_of(client: Client, job_id: str, base: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in client.items(job_id, status=ENDS):
        yield item["url"].removeprefix(base), item


def gone(client: Client, corpus: str, url: str) -> set[str]:
    """Wait until a page has left the search; return what is left."""

    def ask() -> set[str] | None:
        urls = {hit["url"] for hit in client.search(corpus, "what is this page about", top_k=50)["results"]}
        return urls if url not in urls else None

    return poll(ask, f"the end of {url}")


@pytest.mark.slow
def test_a_small_site_is_crawled_by_its_links_and_again(stack: Stack) -> None:
    key = stack.new_key()
    with WebServer(site(), robots="User-agent: *\nDisallow: /private/") as server, stack.client(key) as client:
        job = ended(client, submit(stack, key, "crawled", f"{server.url}/", mode="links", max_depth=3, max_pages=40))
        found = dict(items_of(client, job["id"], server.url))
        statuses = {path: item["status"] for path, item in found.items() if "calendar" not in path}
        assert statuses == {
            "/": "indexed",
            "/a": "indexed",
            "/b": "indexed",
            "/private/x": "skipped",
            "/print/b": "skipped",
            "/copy-of-b": "skipped",
            "/lost": "failed",
        }
        assert found["/private/x"]["error"]["code"] == "robots_disallowed"
        assert "/private/x" not in server.paths
        for path in ("/print/b", "/copy-of-b"):
            assert found[path]["duplicate_of"] == found["/b"]["id"]
        assert sum("calendar" in path for path in found) == 3  # as deep as the crawl goes
        assert (job["status"], job["items"]["failed"]) == ("partial", 1)
        urls = {hit["url"] for hit in client.search("crawled", "bears", top_k=50)["results"]}
        assert {url for url in urls if "calendar" not in url} == {f"{server.url}{path}" for path in ("/", "/a", "/b")}

        server.pages["/a"] = page("apricots", "/", "/new")
        server.pages["/new"] = page("newts")
        del server.pages["/b"]
        again = ended(client, submit(stack, key, "crawled", f"{server.url}/", mode="links", max_depth=3, max_pages=40))
        changes = {path: item["change"] for path, item in items_of(client, again["id"], server.url)}
        assert "/private/x" in changes  # which an unchanged page names
        told = {path: changes[path] for path in ("/", "/a", "/new", "/b")}
        assert told == {"/": "unchanged", "/a": "changed", "/new": "new", "/b": "removed"}
        urls = gone(client, "crawled", f"{server.url}/b")
        assert f"{server.url}/new" in urls


@pytest.mark.slow
def test_a_small_site_is_crawled_by_its_sitemap_and_what_left_it_is_removed(stack: Stack) -> None:
    key = stack.new_key()
    with WebServer(site(), robots="User-agent: *\nSitemap: /index.xml") as server, stack.client(key) as client:

        def tell(*paths: str) -> None:
            entries = "".join(f"<url><loc>{server.url}{path}</loc></url>" for path in paths)
            server.pages["/pages.xml"] = Page(f"<urlset>{entries}</urlset>", "application/xml")

        index = f"<sitemapindex><sitemap><loc>{server.url}/pages.xml</loc></sitemap></sitemapindex>"
        server.pages["/index.xml"] = Page(index, "application/xml")
        tell("/a", "/b", "/old")
        job = ended(client, submit(stack, key, "mapped", f"{server.url}/", mode="sitemap"))
        assert job["status"] == "succeeded"
        counted = Counter((item["kind"], item["status"]) for _, item in items_of(client, job["id"], server.url))
        assert counted == {("page", "indexed"): 4, ("sitemap", "skipped"): 3}

        tell("/a", "/b")
        again = ended(client, submit(stack, key, "mapped", f"{server.url}/", mode="sitemap"))
        found = dict(items_of(client, again["id"], server.url))
        assert {path for path, item in found.items() if item["change"] == "unchanged"} == {"/", "/a", "/b"}
        assert (found["/old"]["status"], found["/old"]["change"]) == ("skipped", "removed")
        urls = gone(client, "mapped", f"{server.url}/old")
        assert urls == {f"{server.url}/", f"{server.url}/a", f"{server.url}/b"}
