"""The text layer of a page of any type: made of the stored bytes, frozen, and cut into chunks that are parts of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from cixml_assets.chunking import chunk_text
from cixml_assets.extraction import read_page
from resources.embedding.registry import load_registry
from resources.embedding.tokenizer import load_tokenizer
from resources.settings import Settings
from resources.types import Chunking, Exclusions
from tests.fakes.web_server import Page, WebServer
from tests.stack import Stack, ended

FOLDER = Path(__file__).parents[1] / "data" / "pages"
EXCLUSIONS = {"tags": ["details"], "classes": ["offer"]}
PARTS = (
    "<main><h1>Pumps</h1><p>The pump lifts water from the deep well every morning.</p>"
    "<details><p>It was painted green by its first owner.</p></details>"
    "<div class='big offer'><p>Buy two pumps and pay for one today.</p></div></main>"
)
CHUNKING = {"strategy": "headings", "max_tokens": 64, "overlap_tokens": 8}
FEED = "<rss><channel><title>Pumps</title><item><title>New</title><description>A &lt;b&gt;valve&lt;/b&gt;.</description></item></channel></rss>"  # noqa: E501


def from_file(name: str, content_type: str | None) -> Page:
    return Page((FOLDER / name).read_bytes(), content_type)


@pytest.fixture
def site() -> Iterator[WebServer]:
    pages = {
        "/html": from_file("postgresql-functions-json.html", "text/html"),
        "/parts": Page(f"<html><body>{PARTS}</body></html>"),
        "/korean": from_file("apache-content-negotiation.ko.euc-kr.html", "text/html"),
        "/wrong-charset": Page(
            "<p>Größe und Übermaß in schöner Füllung.</p>".encode("cp1252"), "text/html;charset=utf-8"
        ),
        "/pdf": from_file("sqlite-copyright-release.pdf", "application/octet-stream"),
        "/html-as-text": from_file("sqlite-pragma.html", "text/plain"),
        "/markdown": Page("# Pump\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\n  go()\n```\n", "text/markdown"),
        "/json": Page('{"pump": {"name": "\\u65e5\\u672c"}}', "application/vnd.api+json"),
        "/feed": Page(FEED, "application/rss+xml"),
    }
    with WebServer(pages) as server:
        yield server


def versions(connection: psycopg.Connection[Any], corpus: str) -> list[dict[str, Any]]:
    return connection.execute(
        "SELECT v.id, v.final_url, v.content_type, v.charset, v.text, b.body FROM cixml.document_versions v "
        "JOIN cixml.page_bodies b ON b.sha256 = v.body_sha256 JOIN cixml.corpora c ON c.id = v.corpus_id "
        "WHERE c.name = %s",
        (corpus,),
    ).fetchall()


def test_every_chunk_is_made_again_from_the_stored_bytes(stack: Stack, site: WebServer) -> None:
    key = stack.new_key()
    made = httpx.post(
        f"{stack.url}/v1/corpora",
        json={"name": "frozen", "chunking": CHUNKING, "exclusions": EXCLUSIONS},
        headers={"X-API-Key": key},
    )
    assert made.status_code == 201, made.text
    with stack.client(key) as client:
        job = ended(
            client, client.submit("frozen", [f"{site.url}{path}" for path in site.pages if path != "/robots.txt"])["id"]
        )
    assert (job["status"], job["items"]["indexed"]) == ("succeeded", 9)
    settings = Settings.load()
    tokenizer = load_tokenizer(
        load_registry(settings.embedding.models_file).get(settings.embedding_model).tokenizer_path
    )
    types, texts = {}, {}
    with psycopg.connect(stack.values["DATABASE_URL"], row_factory=dict_row) as connection:
        for version in versions(connection, "frozen"):
            types[version["final_url"].rpartition("/")[2]] = version["content_type"]
            left_out = Exclusions(**EXCLUSIONS)
            text = read_page(version["body"], version["content_type"], version["charset"], left_out).text
            assert text == version["text"], version["final_url"]
            texts[version["final_url"].rpartition("/")[2]] = text
            again = chunk_text(text, tokenizer, Chunking(**CHUNKING))  # type: ignore[arg-type]  # of mixed values
            stored = connection.execute(
                "SELECT start_offset, end_offset, text, heading, k.token_count FROM cixml.chunks k "
                "JOIN cixml.chunk_sets s ON s.id = k.chunk_set_id WHERE s.document_version_id = %s ORDER BY ordinal",
                (version["id"],),
            ).fetchall()
            assert [tuple(row.values()) for row in stored] == [
                (chunk.start, chunk.end, text[chunk.start : chunk.end], chunk.heading, chunk.token_count)
                for chunk in again
            ]
    assert "deep well" in texts["parts"]
    assert "first owner" not in texts["parts"]
    assert "pay for one" not in texts["parts"]
    assert types == {
        "parts": "text/html",
        "html": "text/html", "korean": "text/html", "wrong-charset": "text/html", "pdf": "application/pdf",
        "html-as-text": "text/html", "markdown": "text/markdown", "json": "application/json", "feed": "application/xml",
    }  # fmt: skip
