"""The API on a real Postgres: what a request leaves in the rows, and what rows look like in an answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from psycopg.rows import dict_row

from cixml_api.pagination import encode_cursor
from resources.membership import caller_id_of
from tests.api import ALICE, BOB, Api, index_document, running_api
from tests.database import PEPPER, Database, database, postgres_server  # noqa: F401  # fixtures

PAGE = "https://docs.example.com/start"


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:  # noqa: F811
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        yield found


@pytest.fixture
def rows(database: Database) -> Iterator[psycopg.Connection[Any]]:  # noqa: F811
    """The pipeline's connection: it sees all rows."""
    with psycopg.connect(database.pipeline_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


async def submit(api: Api, *urls: str, corpus: str = "docs", key: str = ALICE) -> dict[str, Any]:
    answer = await api.post("/v1/jobs", {"corpus": corpus, "urls": list(urls or [PAGE])}, key=key)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_who_sends_no_key_is_told_how(api: Api) -> None:
    for method, path in [("POST", "/v1/jobs"), ("GET", "/v1/jobs"), ("POST", "/v1/corpora/docs/search")]:
        answer = await api.client.request(method, path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Authorization: Bearer" in answer.json()["detail"]


async def test_a_submission_becomes_rows_in_one_transaction(api: Api, rows: psycopg.Connection[Any]) -> None:
    answer = await api.post(
        "/v1/jobs",
        {
            "corpus": "docs",
            "urls": [PAGE, {"url": "https://Docs.Example.com/b#x", "external_id": "B", "metadata": {"a": 1}}],
        },
        headers={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
    )

    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["retry-after"] == "2"
    assert job["status"] == "queued"
    assert job["items"]["queued"] == 2
    stored = rows.execute("SELECT * FROM cixml.jobs").fetchone()
    assert stored
    assert stored["caller_id"] == caller_id_of(ALICE, PEPPER)
    assert stored["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736")
    assert (stored["items_total"], stored["items_open"], stored["items_good"]) == (2, 2, 0)
    items = rows.execute("SELECT * FROM cixml.job_items ORDER BY ordinal").fetchall()
    assert [item["url"] for item in items] == [PAGE, "https://docs.example.com/b"]
    assert items[1]["external_id"] == "B"
    assert items[1]["metadata"] == {"a": 1}
    queued = rows.execute("SELECT item_id, host FROM cixml.work_queue ORDER BY item_id").fetchall()
    assert [entry["item_id"] for entry in queued] == [item["id"] for item in items]


async def test_a_first_submission_makes_the_corpus_and_what_serves_it(api: Api, rows: psycopg.Connection[Any]) -> None:
    await submit(api, corpus="docs")

    corpus = rows.execute("SELECT * FROM cixml.corpora").fetchone()
    version = rows.execute("SELECT * FROM cixml.index_versions").fetchone()
    assert corpus
    assert version
    assert re.fullmatch(r"docs-[0-9a-f]{8}", corpus["partition_key"])
    assert (version["corpus_id"], version["state"], version["kind"]) == (corpus["id"], "serving", "exact")
    assert version["chunking"] == {"strategy": "recursive", "max_tokens": 256, "overlap_tokens": 32}
    assert version["relation"].startswith("vectors_all_minilm_l6_v2_")


async def test_eight_first_submissions_at_once_make_one_corpus(api: Api, rows: psycopg.Connection[Any]) -> None:
    await asyncio.gather(*(submit(api, f"https://docs.example.com/{n}") for n in range(8)))

    counts = {name: _count(rows, name) for name in ("corpora", "index_versions", "jobs", "work_queue")}
    assert counts == {"corpora": 1, "index_versions": 1, "jobs": 8, "work_queue": 8}


async def test_two_callers_have_each_their_own_corpus_of_one_name(api: Api, rows: psycopg.Connection[Any]) -> None:
    await submit(api, corpus="docs", key=ALICE)
    await submit(api, corpus="docs", key=BOB)

    keys = rows.execute("SELECT partition_key FROM cixml.corpora").fetchall()
    assert len({row["partition_key"] for row in keys}) == 2


async def test_a_url_given_twice_is_skipped_and_names_the_first(api: Api, rows: psycopg.Connection[Any]) -> None:
    job = await submit(api, PAGE, "https://docs.example.com/b", PAGE + "#later")

    assert (job["items"]["queued"], job["items"]["skipped"]) == (2, 1)
    stored = rows.execute("SELECT items_open, items_good FROM cixml.jobs").fetchone()
    assert stored == {"items_open": 2, "items_good": 1}
    items = (await api.get(f"/v1/jobs/{job['id']}/items")).json()["content"]
    assert [item["status"] for item in items] == ["queued", "queued", "skipped"]
    assert items[2]["duplicate_of"] == items[0]["id"]
    assert (await api.get(f"/v1/jobs/{job['id']}")).json()["items"] == job["items"]


async def test_a_submission_wakes_the_sensor(api: Api, rows: psycopg.Connection[Any]) -> None:
    rows.execute("LISTEN cixml_jobs")
    await submit(api)
    assert [notice.channel for notice in rows.notifies(timeout=5, stop_after=1)] == ["cixml_jobs"]


async def test_no_corpus_is_made_when_the_caller_says_so(api: Api, rows: psycopg.Connection[Any]) -> None:
    answer = await api.post("/v1/jobs", {"corpus": "docs", "create_corpus": False, "urls": [PAGE]})

    assert answer.status_code == 404
    assert answer.json()["error_code"] == "cixml_job_create_001"
    assert _count(rows, "corpora") == 0


async def test_every_bad_url_is_named_with_its_remedy(api: Api, rows: psycopg.Connection[Any]) -> None:
    urls = [PAGE, "ftp://example.com/x", {"url": "not a url"}, "https://u:p@example.com/"]
    answer = await api.post("/v1/jobs", {"corpus": "docs", "urls": urls})

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problems = answer.json()["errors"]
    assert [each["pointer"] for each in problems] == ["/urls/1", "/urls/2/url", "/urls/3"]
    assert {each["error_code"] for each in problems} == {"cixml_job_create_104"}
    assert _count(rows, "jobs") == 0


async def test_a_job_reads_the_same_while_nothing_happens_and_is_304(api: Api) -> None:
    job = await submit(api)
    answer = await api.get(f"/v1/jobs/{job['id']}")
    again = await api.get(f"/v1/jobs/{job['id']}", headers={"If-None-Match": answer.headers["etag"]})

    assert answer.json() | {"queue": None, "waiting": []} == job
    assert answer.json()["created_at"].endswith("Z")
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/v1/jobs/{}", "/v1/jobs/{}/items"])
async def test_anothers_job_answers_like_a_missing_and_a_malformed_one(api: Api, path: str) -> None:
    job = await submit(api)
    missing = "job_" + "0" * 32
    for name in (missing, "job_x", "nonsense", job["id"].upper(), job["id"].replace("job_", "item_"), "job_%00"):
        answer = await api.get(path.format(name), key=ALICE)
        assert answer.status_code == 404, name
    anothers = (await api.get(path.format(job["id"]), key=BOB)).json()
    absent = (await api.get(path.format(missing), key=BOB)).json()
    own = ("instance", "request_id", "trace_id")
    assert {k: v for k, v in anothers.items() if k not in own} == {k: v for k, v in absent.items() if k not in own}


@pytest.mark.parametrize("order", ["-created_at", "created_at"])
async def test_following_the_cursors_gives_every_job_once_and_in_order(api: Api, order: str) -> None:
    ids = [(await submit(api, f"https://docs.example.com/{n}"))["id"] for n in range(5)]
    await submit(api, key=BOB)

    seen: list[str] = []
    path: str | None = f"/v1/jobs?limit=2&order={order}"
    while path:
        answer = await api.get(path)
        body = answer.json()
        seen += [job["id"] for job in body["content"]]
        assert body["_metadata"]["total_records"] == 5
        assert body["_metadata"]["total_is_exact"] is True
        path = answer.links["next"]["url"] if "next" in answer.links else None
        assert (path is None) == (body["_metadata"]["next"] is None)
    assert seen == (ids if order == "created_at" else ids[::-1])


async def test_a_list_is_filtered_by_state_corpus_and_time(api: Api, rows: psycopg.Connection[Any]) -> None:
    first, second = await submit(api, corpus="a"), await submit(api, corpus="b")
    rows.execute("UPDATE cixml.jobs SET status = 'failed' WHERE id = %s", [second["id"].removeprefix("job_")])

    async def listed(**parameters: str) -> list[str]:
        answer = await api.get("/v1/jobs", params=parameters)
        assert answer.status_code == 200, answer.text
        return [job["id"] for job in answer.json()["content"]]

    assert await listed(status="failed,partial") == [second["id"]]
    assert await listed(corpus="a") == [first["id"]]
    assert await listed(created_after=first["created_at"]) == [second["id"]]
    assert await listed(status="cancelled") == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "x"},
        {"order": "name"},
        {"status": "done"},
        {"created_after": "yesterday"},
        {"created_after": "2026-01-01T00:00:00"},
        {"cursor": "!!"},
        {"cursor": "WyJuYW1lIiwieCJd"},
        {"corpus": "a\0"},
    ],
)
async def test_a_wrong_parameter_is_422_and_named(api: Api, parameters: dict[str, str]) -> None:
    answer = await api.get("/v1/jobs", params=parameters)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(parameters))}"


@pytest.mark.parametrize(
    "place", [("name", "a\0"), ("name", 3), ("ordinal", 1), ("-created_at", "9999-12-31T23:59:59-23:59", "x")]
)
async def test_a_forged_cursor_is_422_everywhere(api: Api, place: tuple[str | int, ...]) -> None:
    await submit(api, corpus="docs")
    for path in ("/v1/corpora", "/v1/corpora/docs/documents", "/v1/jobs"):
        assert (await api.get(path, params={"cursor": encode_cursor(*place)})).status_code == 422


async def test_items_tell_how_they_failed(api: Api, rows: psycopg.Connection[Any]) -> None:
    job = await submit(api, PAGE, "https://docs.example.com/b")
    rows.execute(
        "UPDATE cixml.job_items SET status = 'failed', failed_stage = 'scraping', attempts = 3, http_status = 503, "
        """error = '{"code": "http_5xx", "retryable": true, "detail": "503 from origin", "at": "2026"}', """
        "fetched_at = now(), finished_at = now() WHERE ordinal = 1"
    )

    body = (await api.get(f"/v1/jobs/{job['id']}/items?status=failed")).json()
    assert body["_metadata"]["total_records"] == 1
    item = body["content"][0]
    assert item["http"]["status"] == 503
    assert item["error"] == {
        "code": "http_5xx",
        "failed_stage": "scraping",
        "retryable": True,
        "http_status": 503,
        "attempts": 3,
        "detail": "503 from origin",
    }
    assert (await api.get(f"/v1/jobs/{job['id']}")).json()["progress"] == 0.5


async def test_corpora_and_documents_show_what_is_live(api: Api, rows: psycopg.Connection[Any]) -> None:
    for name in ("b", "a", "c"):
        await submit(api, corpus=name)
    document = index_document(rows, corpus="a", owner=ALICE, url=PAGE, texts=["one two", "three"])

    listed = (await api.get("/v1/corpora", params={"limit": 2})).json()
    assert [corpus["name"] for corpus in listed["content"]] == ["a", "b"]
    assert listed["content"][0]["counts"] == {"documents": 1, "chunks": 2, "bytes": 1}
    assert listed["content"][0]["active_index"]["model"] == "all-MiniLM-L6-v2"
    rest = (await api.get("/v1/corpora", params={"cursor": listed["_metadata"]["next"]})).json()
    assert [corpus["name"] for corpus in rest["content"]] == ["c"]
    assert (await api.get("/v1/corpora/a")).json() == listed["content"][0]
    documents = (await api.get("/v1/corpora/a/documents")).json()
    assert [(each["id"], each["url"], each["chunk_count"]) for each in documents["content"]] == [
        (f"doc_{document.hex}", PAGE, 2)
    ]
    for path in ("/v1/corpora/a", "/v1/corpora/a/documents", "/v1/corpora/A%00/documents"):
        assert (await api.get(path, key=BOB)).status_code == 404


async def test_a_search_finds_the_chunk_with_the_words(api: Api, rows: psycopg.Connection[Any]) -> None:
    await submit(api)
    index_document(rows, corpus="docs", owner=ALICE, url=PAGE, texts=["rotate the key", "drink some tea", "key"])

    answer = await api.post("/v1/corpora/docs/search", {"query": "rotate key", "top_k": 2})

    body = answer.json()
    assert answer.status_code == 200, body
    assert [result["text"] for result in body["results"]] == ["rotate the key", "key"]
    best = body["results"][0]
    assert best["rank"] == 1
    assert best["score"] == best["scores"]["vector"] > body["results"][1]["score"]
    assert best["url"] == PAGE
    assert best["offsets"]["end"] == len("rotate the key")
    assert body["total_candidates"] == 3
    assert body["query"]["embedding_cached"] is False
    assert (body["partial"], body["degraded"]) == (False, None)
    assert body["next"], "a third one is left"
    assert re.match(r"auth;dur=[\d.]+, embed;dur=[\d.]+, search;dur=", answer.headers["server-timing"])


async def test_a_search_gives_as_many_as_there_are_at_its_twentieth_run_too(
    api: Api, rows: psycopg.Connection[Any]
) -> None:
    await submit(api, corpus="small")
    await submit(api, corpus="large")
    index_document(rows, corpus="small", owner=ALICE, url=PAGE, texts=["a", "b", "c"])
    index_document(rows, corpus="large", owner=ALICE, url=PAGE, texts=[f"word{n} common" for n in range(500)])
    for _ in range(20):
        for corpus, expected in (("small", 3), ("large", 10)):
            answer = await api.post(f"/v1/corpora/{corpus}/search", {"query": "nothing alike"})
            assert len(answer.json()["results"]) == expected


async def test_an_empty_corpus_is_no_missing_one(api: Api) -> None:
    await submit(api)
    answer = await api.post("/v1/corpora/docs/search", {"query": "x"})
    assert (answer.status_code, answer.json()["results"]) == (200, [])
    for name, key in (("other", ALICE), ("docs", BOB)):
        missing = await api.post(f"/v1/corpora/{name}/search", {"query": "x"}, key=key)
        assert missing.status_code == 404
        assert missing.json()["error_code"] == "cixml_corpus_search_001"


async def test_a_search_follows_a_flip_at_once(
    api: Api,
    rows: psycopg.Connection[Any],
    database: Database,  # noqa: F811
) -> None:
    await submit(api)
    index_document(rows, corpus="docs", owner=ALICE, url=PAGE, texts=["old"])
    before = (await api.post("/v1/corpora/docs/search", {"query": "old"})).json()
    with psycopg.connect(database.owner_url) as owner:
        owner.execute(f"CREATE TABLE cixml.vectors_next (LIKE cixml.{_relation(rows)} INCLUDING ALL)")
        owner.execute("GRANT SELECT, INSERT ON cixml.vectors_next TO cixml_api, cixml_pipeline")
        owner.execute(f"INSERT INTO cixml.vectors_next SELECT * FROM cixml.{_relation(rows)}")
    with rows.transaction():
        rows.execute("UPDATE cixml.index_versions SET state = 'retired'")
        rows.execute(
            "INSERT INTO cixml.index_versions (corpus_id, model_id, chunking, chunking_fp, relation, kind, state) "
            "SELECT corpus_id, model_id, chunking, chunking_fp, 'vectors_next', kind, 'serving' "
            "FROM cixml.index_versions"
        )
    after = (await api.post("/v1/corpora/docs/search", {"query": "old"})).json()

    assert after["query"]["index_version"] != before["query"]["index_version"]
    assert [result["text"] for result in after["results"]] == ["old"]
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("DROP TABLE cixml.vectors_next")
    assert (await api.post("/v1/corpora/docs/search", {"query": "old"})).status_code == 503


def _count(rows: psycopg.Connection[Any], table: str) -> int:
    found = rows.execute(sql.SQL("SELECT count(*) AS n FROM {}").format(sql.Identifier("cixml", table))).fetchone()
    assert found
    return int(found["n"])


def _relation(rows: psycopg.Connection[Any]) -> str:
    found = rows.execute("SELECT relation FROM cixml.models").fetchone()
    assert found
    return str(found["relation"])


async def test_the_probes_answer_without_a_key(api: Api, rows: psycopg.Connection[Any]) -> None:
    rows.execute("INSERT INTO cixml.workers (id, queues, slots) VALUES ('w', '{ingest}', 3)")
    await submit(api)

    assert (await api.client.get("/livez")).json() == {"status": "ok"}
    ready = await api.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    health = (await api.client.get("/healthz")).json()
    assert (health["status"], health["queue"]["ready"], health["worker_slots"]) == ("ok", 1, 3)
    assert health["embedding"][0]["breaker"] == "closed"


async def test_health_is_degraded_with_the_remedy_when_no_worker_lives(api: Api) -> None:
    answer = await api.client.get("/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert any("start a worker" in warning for warning in answer.json()["warnings"])


async def test_not_ready_while_a_migration_is_missing(api: Api, database: Database) -> None:  # noqa: F811
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("DELETE FROM cixml.schema_migrations")
    answer = await api.client.get("/readyz")
    assert answer.status_code == 503
    assert "cixml migrate" in answer.json()["checks"]["migrations"]


async def test_health_names_corpora_whose_model_is_gone(api: Api, database: Database) -> None:  # noqa: F811
    await submit(api)
    assert not any("served by" in warning for warning in (await api.client.get("/healthz")).json()["warnings"])
    api.app.state.services.model_watch._looked_at = -1000.0
    api.embedder.served = frozenset({"another"})
    (warning,) = [each for each in (await api.client.get("/healthz")).json()["warnings"] if "served by" in each]
    assert re.search(r"1 corpus is served by all-MiniLM-L6-v2, which its embedding server does not serve", warning)
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("UPDATE cixml.models SET fingerprint = 'of an older revision'")
    health = (await api.client.get("/healthz")).json()
    assert health["status"] == "degraded"
    (warning,) = [each for each in health["warnings"] if "served by" in each]
    assert re.search(
        r"a version of all-MiniLM-L6-v2 that is not enabled.*cixml models enable all-MiniLM-L6-v2", warning
    )
    answer = await api.post("/v1/corpora/docs/search", {"query": "x"})
    assert (answer.status_code, answer.json()["error_code"]) == (503, "cixml_corpus_search_510")
    assert "cixml models enable" in answer.json()["detail"]
