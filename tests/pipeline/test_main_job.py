"""From URL to search hit over REST, on the whole stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from cixml.trace_files import StoredSpan, all_spans, spans_of_traces, trace_of_job
from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.web_server import Page, WebServer
from tests.pipeline.dagster_api import DagsterApi
from tests.stack import Stack, ended, poll
from tests.traces import assert_approved

PARAGRAPH = "The quick {animal} jumps over the lazy dog and tells the story of {animal} number {number} to everyone. "


def page(number: int, animal: str = "fox") -> Page:
    text = "".join(f"<p>{PARAGRAPH.format(animal=animal, number=f'{number} {part}') * 3}</p>" for part in range(4))
    return Page(f"<html lang=en><head><title>{animal} {number}</title></head><body><main>{text}</main></body></html>")


@pytest.fixture
def site() -> Iterator[WebServer]:
    with WebServer(
        {f"/{number}": page(number) for number in range(12)}, robots="User-agent: *\nDisallow: /private"
    ) as s:
        yield s


def items_by_url(client: Any, job_id: str) -> dict[str, dict[str, Any]]:
    statuses = "indexed,unchanged,failed,skipped,queued,scraping,chunking,embedding"
    return {item["url"].rpartition("/")[2]: item for item in client.items(job_id, status=statuses)}


def test_a_site_is_indexed_by_visible_runs_and_answers_a_search(
    stack: Stack, site: WebServer, embedding_server: EmbeddingServer, dagster_api: DagsterApi
) -> None:
    site.pages["/zebra"] = page(99, "zebra")
    with stack.client() as client:
        urls = [f"{site.url}{path}" for path in site.pages if path != "/robots.txt"]
        job = ended(client, client.submit("animals", urls)["id"])
        assert job["status"] == "succeeded"
        assert job["usage"]["pages"] == job["items"]["total"] == job["items"]["indexed"]
        assert job["usage"]["chunks"] >= job["usage"]["pages"]
        assert job["usage"]["embedding_tokens"] > 0
        hits = client.search("animals", "the story of zebra", top_k=3)["results"]
    assert hits[0]["url"] == f"{site.url}/zebra"
    assert "zebra" in hits[0]["text"]
    poll(lambda: not dagster_api.unfinished(corpus_prefix="animals-"), "the end of the runs")
    runs = dagster_api.runs(corpus_prefix="animals-")
    assert {run["status"] for run in runs} == {"SUCCESS"}
    assert dagster_api.materialized_partitions("search_index") >= {run["partition"] for run in runs}


def test_a_job_is_one_trace_and_every_attribute_is_approved(stack: Stack, site: WebServer) -> None:
    folder = stack.home.root / "traces"
    site.pages["/gone"] = Page("", status=404)
    with stack.client() as client:
        job = ended(client, client.submit("traced", [f"{site.url}/{name}" for name in (0, 1, "gone")])["id"])
        client.search("traced", "a story of foxes")
    trace_id = trace_of_job(folder, job["id"])
    assert trace_id

    def of_job() -> dict[str, StoredSpan] | None:
        found = {span.name: span for span in spans_of_traces(folder, [trace_id])}
        return found if "run" in found else None

    spans = poll(of_job, "the end of the run")
    assert set(spans) == {
        *("POST /v1/jobs", "claim", "run", "launch", "scrape", "scrape page", "store pages", "chunk", "chunk page"),
        *("store chunks", "embed", "embed texts", "store vectors", "embed page", "index"),
    }
    assert {span.service for span in spans.values()} == {"cixml-api", "cixml-code-server", "cixml-worker"}
    pages = [span for span in spans_of_traces(folder, [trace_id]) if span.name == "scrape page"]
    assert {span.attributes["failed.stage"] for span in pages if span.error} == {"scraping"}
    assert_approved(all_spans(folder))


def test_nothing_of_a_page_is_in_dagster(stack: Stack, site: WebServer) -> None:
    site.pages["/sneaky?token=hush"] = Page(
        "<main><p>" + "Xylophone-secret paragraph about nothing at all. " * 8 + "</p></main>"
    )
    key = stack.new_key()
    with stack.client(key) as client:
        assert ended(client, client.submit("quiet", [f"{site.url}/sneaky?token=hush"])["id"])["status"] == "succeeded"
    url = stack.values["CIXML_DAGSTER__DATABASE_URL"].replace("postgresql+psycopg2", "postgresql")
    with psycopg.connect(url.partition("?")[0]) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            dump = str(connection.execute(f"SELECT t::text FROM {table} t".encode()).fetchall())
            for secret in ("sneaky", "hush", "Xylophone-secret", key, site.url):
                assert secret not in dump, f"{secret} is in Dagster's {table}"


def test_the_same_job_again_embeds_nothing_and_asks_conditionally(
    stack: Stack, site: WebServer, embedding_server: EmbeddingServer
) -> None:
    urls = [f"{site.url}/{number}" for number in range(12)]
    with stack.client() as client:
        ended(client, client.submit("twice", urls)["id"])
        embedding_server.reset_stats()
        site.requests.clear()
        job = ended(client, client.submit("twice", urls)["id"])
    assert (job["status"], job["items"]["unchanged"]) == ("succeeded", 12)
    assert embedding_server.stats.texts == 0
    assert sorted(site.paths) == sorted(f"/{number}" for number in range(12))
    assert all("if-none-match" in request.headers for request in site.requests if request.path != "/robots.txt")


def test_an_inserted_paragraph_embeds_what_is_new_alone(
    stack: Stack, site: WebServer, embedding_server: EmbeddingServer
) -> None:
    paragraphs = [PARAGRAPH.format(animal=f"beast{number}", number=number) * 8 for number in range(6)]
    site.pages["/grows"] = Page("<main>" + "".join(f"<p>{text}</p>" for text in paragraphs) + "</main>")
    with stack.client() as client:
        first = ended(client, client.submit("grows", [f"{site.url}/grows"])["id"])
        embedding_server.reset_stats()
        added = PARAGRAPH.format(animal="newcomer", number="zero") * 8
        site.pages["/grows"] = Page("<main>" + "".join(f"<p>{text}</p>" for text in [added, *paragraphs]) + "</main>")
        second = ended(client, client.submit("grows", [f"{site.url}/grows"])["id"])
        hits = client.search("grows", "newcomer zero", top_k=1)["results"]
    assert first["status"] == second["status"] == "succeeded"
    assert 0 < embedding_server.stats.texts < second["usage"]["chunks"]
    assert "newcomer" in hits[0]["text"]


def test_what_is_pushed_is_found_and_costs_nothing_when_it_is_pushed_again(
    stack: Stack, embedding_server: EmbeddingServer
) -> None:
    texts = {animal: PARAGRAPH.format(animal=animal, number="one") * 3 for animal in ("okapi", "quokka", "tapir")}
    documents = [
        {"external_id": "T-1", "text": texts["okapi"], "title": "About it"},
        {"external_id": "T-2", "markdown": f"Animals\n=======\n\n## Small ones\n\n**{texts['quokka'].strip()}**"},
    ]
    head = "<html lang=de><title>Tapir</title><meta name=date content=2021-11-08>"
    file = f"{head}<main><p>{texts['tapir']}</p></main>".encode("utf-16")
    key = stack.new_key()
    headers = {"Authorization": f"Bearer {key}"}
    with stack.client(key) as client, httpx.Client(base_url=stack.url, headers=headers, trust_env=False) as http:
        for status in ("indexed", "unchanged"):
            embedding_server.reset_stats()
            pushed = http.post("/v1/jobs", json={"corpus": "pushed", "documents": documents})
            upload = http.post("/v1/corpora/pushed/files", files={"file": ("tapir.html", file, "text/html")})
            for answer in (pushed, upload):
                assert answer.status_code == 202, answer.text
                job = ended(client, answer.json()["id"])
                assert (job["status"], job["items"][status]) == ("succeeded", job["items"]["total"])
        assert embedding_server.stats.texts == 0
        hits = {animal: client.search("pushed", f"story of {animal}", top_k=1)["results"][0] for animal in texts}
        document = http.get(f"/v1/corpora/pushed/documents/{hits['tapir']['document_id']}").json()
    assert {animal: (hit["external_id"], hit["url"], hit["title"]) for animal, hit in hits.items()} == {
        "okapi": ("T-1", None, "About it"),
        "quokka": ("T-2", None, "Animals"),
        "tapir": ("tapir.html", None, "Tapir"),
    }
    assert hits["quokka"]["text"].startswith("# Animals\n\n## Small ones\n\nThe quick quokka")
    assert (document["language"], document["content_type"], len(document["versions"])) == ("de", "text/html", 1)
    published = [found["published_at"] for found in (document, *document["versions"], *hits.values())]
    assert published == ["2021-11-08T00:00:00Z", "2021-11-08T00:00:00Z", None, None, "2021-11-08T00:00:00Z"]


def test_each_bad_page_ends_in_its_own_state_and_the_good_ones_are_searchable(stack: Stack, site: WebServer) -> None:
    site.pages |= {
        "/missing": Page("gone", status=404),
        "/broken": Page("oops", status=500),
        "/movie": Page(b"\x00\x01\x02", "video/mp4"),
        "/empty": Page("<html><body></body></html>"),
        "/private": page(1),
        "/unlisted": Page(page(1).body, headers={"X-Robots-Tag": "noindex"}),
        "/latin": Page(
            ("<html><body><main><p>" + "Grüße aus München, schöne Äpfel überall. " * 9 + "</p></main>").encode(
                "latin-1"
            ),
            "text/html; charset=utf-8",
        ),
    }
    with WebServer({}) as dead:
        dead_url = f"{dead.url}/dead"
    paths = ("missing", "broken", "movie", "empty", "private", "unlisted", "latin", "1", "2")
    with stack.client() as client:
        job = ended(client, client.submit("mixed", [dead_url, *(f"{site.url}/{path}" for path in paths)])["id"])
        found = items_by_url(client, job["id"])
        hits = client.search("mixed", "Grüße schöne Äpfel", top_k=1)["results"]
    assert job["status"] == "partial"
    expected = {
        "dead": ("scraping", "connect_failed"),
        "missing": ("scraping", "http_4xx"),
        "broken": ("scraping", "http_5xx"),
        "movie": ("scraping", "unsupported_type"),
        "empty": ("chunking", "empty_text"),
        "private": ("scraping", "robots_disallowed"),
        "unlisted": ("scraping", "robots_noindex"),
    }
    for name, (stage, code) in expected.items():
        assert (found[name]["status"], found[name]["failed_stage"]) == ("failed", stage), found[name]
        assert found[name]["error"]["code"] == code
    assert (found["private"]["robots"]["allowed"], found["missing"]["robots"]["allowed"]) == (False, True)
    assert {found[name]["status"] for name in ("latin", "1", "2")} == {"indexed"}
    assert "Grüße" in hits[0]["text"]


VECTORS = ["embeddings", "all_minilm_l6_v2"]


def test_any_selection_of_assets_can_be_materialized_from_the_ui(
    stack: Stack, site: WebServer, embedding_server: EmbeddingServer, dagster_api: DagsterApi
) -> None:
    with stack.client() as client:
        ended(client, client.submit("by-hand", [f"{site.url}/1", f"{site.url}/2"])["id"])
        [partition] = {run["partition"] for run in dagster_api.runs(corpus_prefix="by-hand-")}
        site.pages["/1"] = page(1, "narwhal")
        selections = (["raw_pages"],), (["chunks"],), (VECTORS,), (["search_index"],), (["chunks"], VECTORS)
        runs = [dagster_api.materialize(partition, *keys) for keys in selections]
        refresh = {"ops": {"raw_pages": {"config": {"refresh": "all"}}}}
        everything = (["raw_pages"], ["chunks"], VECTORS, ["search_index"])
        runs.append(dagster_api.materialize(partition, *everything, config=refresh))
        for run_id in runs:
            poll(lambda: dagster_api.status(run_id) in ("SUCCESS", "FAILURE"), "the run", timeout_seconds=60)  # noqa: B023
        assert {dagster_api.status(run_id) for run_id in runs} == {"SUCCESS"}
        hits = client.search("by-hand", "story of narwhal", top_k=1)["results"]
    assert "narwhal" in hits[0]["text"]


def test_a_lost_vector_is_made_again_by_its_own_asset(stack: Stack, site: WebServer, dagster_api: DagsterApi) -> None:
    with stack.client() as client:
        ended(client, client.submit("mended", [f"{site.url}/3"])["id"])
        [partition] = {run["partition"] for run in dagster_api.runs(corpus_prefix="mended-")}
        with psycopg.connect(stack.values["DATABASE_URL"], autocommit=True) as owner:
            corpus_id, relation = owner.execute(
                "SELECT k.id, v.relation FROM cixml.corpora k JOIN cixml.index_versions v ON v.corpus_id = k.id "
                "WHERE k.name = 'mended'"
            ).fetchone()  # type: ignore[misc]
            owner.execute(f"DELETE FROM cixml.{relation} WHERE corpus_id = %s".encode(), [corpus_id])
        assert client.search("mended", "fox")["results"] == []
        run_id = dagster_api.materialize(partition, VECTORS)
        poll(lambda: dagster_api.status(run_id) == "SUCCESS", "the run", timeout_seconds=60)
        assert client.search("mended", "fox")["results"]


def test_a_backfill_that_could_not_embed_is_a_failed_run(
    stack: Stack, site: WebServer, embedding_server: EmbeddingServer, dagster_api: DagsterApi
) -> None:
    with stack.client() as client:
        ended(client, client.submit("unlucky", [f"{site.url}/4"])["id"])
    [partition] = {run["partition"] for run in dagster_api.runs(corpus_prefix="unlucky-")}
    with psycopg.connect(stack.values["DATABASE_URL"], autocommit=True) as owner:
        corpus_id, relation = owner.execute(
            "SELECT k.id, v.relation FROM cixml.corpora k JOIN cixml.index_versions v ON v.corpus_id = k.id "
            "WHERE k.name = 'unlucky'"
        ).fetchone()  # type: ignore[misc]
        owner.execute(f"DELETE FROM cixml.{relation} WHERE corpus_id = %s".encode(), [corpus_id])
    embedding_server.poison = "fox"
    try:
        run_id = dagster_api.materialize(partition, VECTORS)
        poll(lambda: dagster_api.status(run_id) in ("SUCCESS", "FAILURE"), "the run", timeout_seconds=60)
    finally:
        embedding_server.heal()
    assert dagster_api.status(run_id) == "FAILURE"
    again = dagster_api.materialize(partition, VECTORS)
    poll(lambda: dagster_api.status(again) == "SUCCESS", "the run after it", timeout_seconds=60)
