"""Searches by words, by both, and through filters: right whatever the corpus's size, and whatever language it is in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from resources.errors import BreakerOpenError
from resources.lexemes import asked
from resources.membership import caller_id_of
from resources.postgres.corpora import CorpusKey, serving_index
from resources.postgres.pool import connected
from resources.postgres.search import Filter, Found, search_keywords
from tests.api import ALICE, BOB, Api, index_document, running_api
from tests.database import PEPPER, Database
from tests.integration.test_search_by_graph import promote_now

Owner = psycopg.Connection[Any]
CALLER = caller_id_of(ALICE, PEPPER)


@pytest_asyncio.fixture
async def api(database: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"})) as found:
        assert (await found.post("/v1/corpora", {"name": "docs"})).status_code == 201
        yield found


def index(
    database: Database, url: str, *texts: str, language: str | None = "en", metadata: dict[str, object] | None = None
) -> None:
    """Write a live document of Alice's corpus."""
    with psycopg.connect(database.pipeline_url) as rows:
        index_document(rows, corpus="docs", owner=ALICE, url=url, texts=texts, language=language, metadata=metadata)


def level(owner: Owner, *, counted: bool = False) -> None:
    """Write what flips would have: the levels of the corpus. `counted`: and the counts of a large one."""
    owner.execute("DELETE FROM cixml.corpus_levels")
    owner.execute(
        "INSERT INTO cixml.corpus_levels (corpus_id, chunking_fp, documents, chunks, tokens, digest) "
        "SELECT s.corpus_id, s.chunking_fp, count(DISTINCT s.id), count(*), sum(k.token_count), 1 "
        "FROM cixml.chunk_sets s JOIN cixml.documents d ON d.live_version_id = s.document_version_id "
        "JOIN cixml.chunks k ON k.chunk_set_id = s.id GROUP BY 1, 2"
    )
    if counted:
        owner.execute("SELECT cixml.count_lexemes(corpus_id, chunking_fp) FROM cixml.corpus_levels")


async def ask(api: Api, query: str, *, mode: str = "keyword", **more: Any) -> dict[str, Any]:
    answer = await api.post("/v1/corpora/docs/search", {"query": query, "mode": mode} | more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def texts_of(found: dict[str, Any]) -> list[str]:
    return [result["text"] for result in found["results"]]


async def of_words(api: Api, text: str, *, top_k: int = 10, where: Filter | None = None) -> Found:
    async with connected(api.app.state.services.pool) as connection:
        serving = await serving_index(connection, caller_id=CALLER, key=CorpusKey(owner=CALLER, name="docs"))
        assert serving
        found = await search_keywords(
            connection, caller_id=CALLER, index=serving, words=asked(text), top_k=top_k, where=where
        )
    assert found
    return found


# By words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counted", [False, True])
async def test_words_are_ranked_by_how_rare_they_are_and_how_often_they_occur(
    api: Api, database: Database, owner: Owner, counted: bool
) -> None:
    index(database, "https://e.com/1", "cats and common things", "cats cats cats common", "dogs common", "owls common")
    level(owner, counted=counted)
    found = await ask(api, "What common cat?")
    assert texts_of(found) == ["cats cats cats common", "cats and common things", "dogs common", "owls common"]
    best = found["results"][0]
    assert best["score"] == best["scores"]["keyword"] > 0
    assert (best["scores"]["vector"], best["scores"]["fused"]) == (None, None)
    assert (found["total_candidates"], found["query"]["tokens"], found["degraded"]) == (4, 0, None)
    assert texts_of(await ask(api, "cats", top_k=1)) == ["cats cats cats common"]


async def test_both_ways_give_the_same_scores(api: Api, database: Database, owner: Owner) -> None:
    for number in range(20):
        index(database, f"https://e.com/{number}", *(f"word{number} term{part} common" for part in range(number + 1)))
    level(owner)
    exact = await of_words(api, "word7 term3 common", top_k=50)
    level(owner, counted=True)
    counted = await of_words(api, "word7 term3 common", top_k=50)
    assert [(hit.chunk_id, round(hit.score, 9)) for hit in exact.hits] == [
        (hit.chunk_id, round(hit.score, 9)) for hit in counted.hits
    ]


@pytest.mark.parametrize(
    ("language", "text", "question"),
    [
        ("en", "Indexes are used by the planner", "when is an index used"),
        ("de", "Die Häuser stehen am Fluss", "Haus"),
        ("fr", "Les économies françaises", "economie francaise"),
        ("ja", "東京都庁は新宿にあります", "新宿の都庁"),
        ("zh", "向量数据库支持全文检索", "全文检索"),
        ("th", "ประเทศไทยมีวัดมากมาย", "วัดไทย"),
        (None, "The running of engines", "engine runs"),
    ],
)
async def test_a_text_is_found_in_its_own_language(
    api: Api, database: Database, owner: Owner, language: str | None, text: str, question: str
) -> None:
    index(database, "https://e.com/other", "nothing of the kind", "etwas anderes", "別のもの", language="en")
    index(database, "https://e.com/1", text, language=language)
    level(owner)
    assert texts_of(await ask(api, question))[0] == text


async def test_a_question_of_nothing_but_stop_words_is_answered(api: Api, database: Database, owner: Owner) -> None:
    index(database, "https://e.com/1", "the who played", "a band")
    level(owner)
    assert texts_of(await ask(api, "the who")) == ["the who played"]
    assert texts_of(await ask(api, "… !")) == []


async def test_a_corpus_without_anything_is_no_missing_one(api: Api) -> None:
    for mode in ("keyword", "hybrid"):
        assert (await ask(api, "x", mode=mode))["results"] == []
        missing = await api.post("/v1/corpora/docs/search", {"query": "x", "mode": mode}, key=BOB)
        assert missing.status_code == 404


async def test_what_is_dead_is_not_found_and_does_not_count(api: Api, database: Database, owner: Owner) -> None:
    for number in range(9):
        index(database, f"https://e.com/{number}", f"grouse number{number}")
    owner.execute("UPDATE cixml.documents SET deleted_at = now() WHERE url > 'https://e.com/2'")
    for counted in (False, True):
        level(owner, counted=counted)
        assert len(texts_of(await ask(api, "grouse", top_k=5))) == 3


async def test_rare_words_select_and_an_answer_is_never_short(api: Api, database: Database, owner: Owner) -> None:
    index(database, "https://e.com/1", *(f"common filler{number}" for number in range(300)), "common grouse")
    level(owner, counted=True)
    owner.execute("UPDATE cixml.lexeme_counts SET chunks = 100000 WHERE lexeme = 'common'")
    owner.execute("UPDATE cixml.lexeme_counts SET chunks = 300 WHERE lexeme = 'grous'")
    found = texts_of(await ask(api, "common grouse", top_k=50))
    assert (found[0], len(found)) == ("common grouse", 50)


async def test_nobody_else_s_words_are_read(api: Api, database: Database, owner: Owner) -> None:
    index(database, "https://e.com/1", "secret grouse")
    level(owner)
    with psycopg.connect(database.api_url) as login:
        for caller, expected in ((CALLER, 1), (caller_id_of(BOB, PEPPER), 0)):
            login.execute("SELECT set_config('cixml.caller_id', %s, false)", [caller])
            rows = login.execute(
                "SELECT * FROM cixml.keyword_matches(%s, %s, %s, '{grouse}', '{grous}', '{en}', '{NULL}', true, NULL)",
                owner.execute(
                    "SELECT corpus_id, chunking_fp, 'c:' || right(replace(corpus_id::text, '-', ''), 12) "
                    "FROM cixml.corpus_levels"
                ).fetchone(),
            ).fetchall()
            assert len(rows) == expected


# By both --------------------------------------------------------------------------------------------------------------


async def test_both_are_fused_by_rank(api: Api, database: Database, owner: Owner) -> None:
    index(database, "https://e.com/1", "hazel grouse", "grouse", "hazel tree", "owl")
    level(owner)
    found = await ask(api, "hazel grouse", mode="hybrid", top_k=3)
    assert texts_of(found)[0] == "hazel grouse"
    assert len(found["results"]) == 3
    scores = found["results"][0]["scores"]
    assert scores["fused"] == found["results"][0]["score"] == pytest.approx(2 / 61, abs=1e-6)
    assert scores["vector"] > 0 < scores["keyword"]
    everything = await ask(api, "hazel grouse", mode="hybrid", top_k=10)
    assert len(everything["results"]) == 4, "what has no word of it is found by its vector"


async def test_without_the_embedding_server_words_answer_and_say_so(api: Api, database: Database, owner: Owner) -> None:
    index(database, "https://e.com/1", "hazel grouse", "owl")
    level(owner)
    api.embedder.error = BreakerOpenError(retry_after_seconds=8.2)
    answer = await api.post("/v1/corpora/docs/search", {"query": "grouse", "mode": "hybrid"})
    assert (answer.status_code, answer.json()["degraded"]) == (200, "embedding_unavailable")
    assert answer.headers["degraded"] == "embedding"
    assert texts_of(answer.json()) == ["hazel grouse"]
    plain = await api.post("/v1/corpora/docs/search", {"query": "grouse", "mode": "keyword"})
    assert (plain.status_code, plain.json()["degraded"], plain.headers.get("degraded")) == (200, None, None)
    dense = await api.post("/v1/corpora/docs/search", {"query": "grouse"})
    assert (dense.status_code, dense.headers["retry-after"]) == (503, "9")


# Through filters ------------------------------------------------------------------------------------------------------

FILTERS: list[tuple[dict[str, Any], set[int]]] = [
    ({"field": "language", "eq": "de"}, {1, 4, 7}),
    ({"field": "language", "in": ["de", "fr"]}, {1, 2, 4, 5, 7, 8}),
    ({"field": "language", "ne": "en"}, {1, 2, 4, 5, 7, 8}),
    ({"field": "url", "prefix": "https://e.com/a/"}, {0, 2, 4, 6, 8}),
    ({"field": "metadata.size", "gte": 7}, {7, 8}),
    ({"not": {"field": "metadata.size", "gte": 2}}, {0, 1}),
    ({"field": "metadata.kind", "eq": "odd"}, {1, 3, 5, 7}),
    ({"field": "metadata.kind", "exists": False}, {0, 2, 4, 6, 8}),
    ({"field": "metadata.flag", "eq": True}, {3}),
    ({"field": "metadata.size", "eq": "7"}, set()),
    ({"not": {"field": "metadata.size", "eq": "7"}}, set(range(9))),
    ({"field": 'metadata.a "b', "eq": None}, {2}),
    ({"field": "fetched_at", "lt": "2026-01-03"}, {0, 1, 2}),
    ({"field": "fetched_at", "gt": "2026-01-03T00:00:00+00:00"}, {3, 4, 5, 6, 7, 8}),
    ({"field": "published_at", "exists": True}, {5}),
    ({"and": [{"field": "language", "eq": "de"}, {"not": {"field": "metadata.kind", "eq": "odd"}}]}, {4}),
    ({"or": [{"field": "metadata.size", "lt": 1}, {"field": "metadata.size", "gt": 7}]}, {0, 8}),
    ({"field": "external_id", "exists": True}, set()),
]


def index_nine(database: Database, owner: Owner) -> None:
    for number in range(9):
        metadata: dict[str, object] = {"size": number}
        metadata |= {"kind": "odd"} if number % 2 else {}
        metadata |= {"flag": True} if number == 3 else {'a "b': None} if number == 2 else {}
        folder = "b" if number % 2 else "a"
        index(
            database,
            f"https://e.com/{folder}/{number}",
            *(f"grouse number{number} part{part}" for part in range(3)),
            language=("en", "de", "fr")[number % 3],
            metadata=metadata,
        )
        owner.execute(
            "UPDATE cixml.document_versions SET fetched_at = '2026-01-01Z'::timestamptz + make_interval(days => %s), "
            "published_at = CASE WHEN %s = 5 THEN now() END WHERE final_url LIKE %s",
            [number, number, f"%/{number}"],
        )
    owner.execute(
        "UPDATE cixml.document_versions SET fetched_at = fetched_at + interval '1 minute' WHERE final_url LIKE '%/3'"
    )
    owner.execute(
        "UPDATE cixml.document_versions SET fetched_at = fetched_at - interval '1 minute' WHERE final_url LIKE '%/2'"
    )
    level(owner)


async def test_every_filter_gives_all_that_pass_in_every_mode_and_index(
    api: Api, database: Database, owner: Owner
) -> None:
    index_nine(database, owner)

    async def check() -> None:
        for where, numbers in FILTERS:
            for mode in ("dense", "keyword", "hybrid"):
                found = await ask(api, "grouse number5", mode=mode, top_k=100, filter=where)
                urls = [result["url"] for result in found["results"]]
                assert len(urls) == 3 * len(numbers), (where, mode)
                assert {int(url.rpartition("/")[2]) for url in urls} == numbers, (where, mode)
                few = await ask(api, "grouse number5", mode=mode, top_k=2, filter=where)
                assert len(few["results"]) == min(2, len(urls)), (where, mode)

    await check()
    level(owner, counted=True)
    owner.execute("UPDATE cixml.corpus_levels SET chunks = 5000, counted_chunks = 5000")
    await asyncio.to_thread(promote_now, database, owner)
    await check()


@pytest.mark.parametrize(
    ("where", "pointer", "said"),
    [
        ({"field": "lang", "eq": "en"}, "/filter/field", "pattern"),
        ({"field": "language"}, "/filter", "needs one of"),
        ({"field": "language", "eq": "en", "ne": "de"}, "/filter", "it has 2"),
        ({"field": "language", "gt": "en"}, "/filter", "is a text"),
        ({"and": [{"field": "fetched_at", "gt": "yesterday"}]}, "/filter/and/0", "no time"),
        ({"or": [{"field": "url", "prefix": 3}]}, "/filter/or/0/prefix", "string"),
        ({"not": {"field": "url", "like": "x"}}, "/filter/not/like", "no field 'like'"),
        ({"and": [], "or": []}, "/filter/and", "at least 1"),
        ("language = en", "/filter", "dictionary"),
        ({"not": {"not": {"not": {"not": {"not": {"field": "url", "eq": "x"}}}}}}, "/filter", "5 deep"),
        ({"and": [{"or": [{"field": "url", "eq": "x"}] * 30}] * 2}, "/filter", "50 conditions"),
    ],
)
async def test_a_wrong_filter_names_its_field(api: Api, where: Any, pointer: str, said: str) -> None:
    answer = await api.post("/v1/corpora/docs/search", {"query": "x", "filter": where})
    assert answer.status_code == 422
    first = answer.json()["errors"][0]
    assert (first["pointer"], said in first["detail"]) == (pointer, True), first


async def test_a_threshold_leaves_out_what_is_not_near(api: Api, database: Database, owner: Owner) -> None:
    index(database, "https://e.com/1", "hazel grouse", "hazel tree", "owl")
    level(owner)
    every = await ask(api, "hazel grouse", mode="dense")
    least = every["results"][1]["score"]
    found = await ask(api, "hazel grouse", mode="dense", threshold=least - 1e-6)
    assert [result["score"] for result in found["results"]] == [result["score"] for result in every["results"][:2]]
    refused = await api.post("/v1/corpora/docs/search", {"query": "x", "mode": "hybrid", "threshold": 0.5})
    assert refused.status_code == 422


# What else is told ---------------------------------------------------------------------------------------------------


async def test_a_document_is_shown_as_often_as_asked(api: Api, database: Database, owner: Owner) -> None:
    for number in range(4):
        index(database, f"https://e.com/{number}", *(f"grouse number{number} part{part}" for part in range(20)))
    level(owner)
    for mode in ("dense", "keyword", "hybrid"):
        found = await ask(api, "grouse number1", mode=mode, top_k=4, group_by="document")
        assert len({result["document_id"] for result in found["results"]}) == 4, mode
        twice = await ask(api, "grouse number1", mode=mode, top_k=10, group_by="document", group_size=2)
        assert len(twice["results"]) == 8, mode
    refused = await api.post("/v1/corpora/docs/search", {"query": "x", "group_size": 2})
    assert refused.status_code == 422


async def test_pages_of_results_are_one_list(api: Api, database: Database, owner: Owner) -> None:
    index(database, "https://e.com/1", *(f"grouse {'rare ' * (number % 7)}word{number}" for number in range(25)))
    level(owner)
    for mode in ("dense", "keyword"):
        whole = await ask(api, "rare grouse", mode=mode, top_k=25)
        assert whole["next"] is None
        pages: list[dict[str, Any]] = []
        cursor = None
        while cursor or not pages:
            more = {"cursor": cursor} if cursor else {}
            pages.append(await ask(api, "rare grouse", mode=mode, top_k=10, **more))
            cursor = pages[-1]["next"]
        assert len(pages) == 3
        results = [result for page in pages for result in page["results"]]
        assert [result["rank"] for result in results] == list(range(1, 26))
        assert [result["chunk_id"] for result in results] == [result["chunk_id"] for result in whole["results"]]
    body = {"query": "another", "cursor": pages[0]["next"], "mode": "keyword"}
    refused = await api.post("/v1/corpora/docs/search", body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/cursor")


async def test_pages_of_a_hybrid_search_show_each_hit_once(api: Api, database: Database, owner: Owner) -> None:
    texts = [f"grouse {'rare ' * (number % 7)}word{number}" for number in range(150)]
    index(database, "https://e.com/1", *texts)
    level(owner)
    shown: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = await ask(api, "rare grouse", mode="hybrid", top_k=20, **more)
        shown += [result["text"] for result in page["results"]]
        if page["next"] is None:
            break
        more = {"cursor": page["next"]}
    assert sorted(shown) == sorted(texts)


async def test_neighbours_highlights_and_places_are_told_on_request(api: Api, database: Database, owner: Owner) -> None:
    index(database, "https://e.com/1", "first", "second", "What the grouses' nest is", "fourth", "fifth")
    level(owner)
    plain = (await ask(api, "what are grouse nests", top_k=1))["results"][0]
    assert (plain["highlights"], plain["neighbours"], plain["explain"]) == (None, None, None)
    asked_for = {"neighbours": 1, "include": ["highlights"], "explain": True}
    told = (await ask(api, "what are grouse nests", mode="hybrid", top_k=1, **asked_for))["results"][0]
    assert [(each["ordinal"], each["text"]) for each in told["neighbours"]] == [(1, "second"), (3, "fourth")]
    assert [told["text"][start:end] for start, end in told["highlights"]] == ["grouses", "nest"]
    assert told["explain"]["keyword_rank"] == 1
    assert told["explain"]["distance"] == pytest.approx(1 - told["scores"]["vector"], abs=1e-5)
    assert told["anchor"] == "https://e.com/1#:~:text=What%20the%20grouses%27%20nest%20is"


async def test_an_address_asks_as_a_body_does(api: Api, database: Database, owner: Owner) -> None:
    index(database, "https://e.com/1", "hazel grouse", "owl", "heron")
    level(owner)

    def lasting(found: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in found.items() if name not in ("took_ms", "query")}

    path = "/v1/corpora/docs/search"
    for mode, usual in (("dense", "vector"), ("keyword", "keyword"), ("hybrid", "hybrid")):
        posted = await ask(api, "hazel grouse", mode=mode, top_k=2)
        assert lasting(await ask(api, "hazel grouse", mode=usual, top_k=2)) == lasting(posted)
        answer = await api.get(f"{path}?q=hazel%20grouse&top_k=2&mode={usual}")
        assert (answer.status_code, lasting(answer.json())) == (200, lasting(posted)), answer.text
        if posted["next"]:
            more = await api.get(f"{path}?q=hazel+grouse&top_k=2&mode={mode}&cursor={posted['next']}")
            assert [result["rank"] for result in more.json()["results"]] == [3]
    for query, pointer in (
        ("", "/q"),
        ("?q=", "/q"),
        ("?q=%20%1c", "/q"),
        ("?q=a%00b", "/q"),
        ("?q=x&top_k=101", "/top_k"),
        ("?q=x&mode=semantic", "/mode"),
        ("?q=x&cursor=x", "/cursor"),
        ("?query=x&q=x", "/query"),
    ):
        refused = await api.get(path + query)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer), refused.text
    assert (await api.get(f"{path}?q=x", key=BOB)).status_code == 404


async def test_several_corpora_answer_as_one(api: Api, database: Database, owner: Owner) -> None:
    assert (await api.post("/v1/corpora", {"name": "more"})).status_code == 201
    index(database, "https://e.com/1", "hazel grouse", "owl", "heron")
    with psycopg.connect(database.pipeline_url) as rows:
        index_document(rows, corpus="more", owner=ALICE, url="https://e.com/2", texts=["grouse", "hazel grouse nest"])
    level(owner)
    for mode in ("dense", "keyword", "hybrid"):
        body = {"corpora": ["docs", "more"], "query": "hazel grouse", "mode": mode, "top_k": 3, "neighbours": 1}
        answer = await api.post("/v1/search", body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert [result["rank"] for result in found["results"]] == [1, 2, 3]
        assert found["results"][0]["text"] == "hazel grouse"
        assert {result["corpus"] for result in found["results"]} == {"docs", "more"}
        assert [query["corpus"] for query in found["queries"]] == ["docs", "more"]
        assert found["total_candidates"] == 5
        assert all(result["neighbours"] for result in found["results"])
    near = await api.post("/v1/search", {"corpora": ["docs", "more"], "query": "hazel grouse", "threshold": 0.99})
    assert [result["text"] for result in near.json()["results"]] == ["hazel grouse"]
    for corpora, status in (
        (["docs", "none"], 404),
        (["docs", f"{CALLER}:docs"], 422),
        (["docs", "docs"], 422),
        ([], 422),
        (["docs", "A b"], 422),
    ):
        assert (await api.post("/v1/search", {"corpora": corpora, "query": "x"})).status_code == status
    assert (await api.post("/v1/search", {"corpora": ["docs"], "query": "x"}, key=BOB)).status_code == 404


async def test_pages_over_several_corpora_are_one_list(api: Api, database: Database, owner: Owner) -> None:
    corpora = ["docs", "more", "least"]
    for name in corpora[1:]:
        assert (await api.post("/v1/corpora", {"name": name})).status_code == 201
    texts = [f"grouse {'rare ' * (number % 7)}word{number}" for number in range(40)]
    with psycopg.connect(database.pipeline_url) as rows:
        for name, own in zip(corpora, (texts[:30], texts[30:39], texts[39:]), strict=True):
            index_document(rows, corpus=name, owner=ALICE, url=f"https://e.com/{name}", texts=own)
    level(owner)
    body: dict[str, Any]
    for mode in ("dense", "keyword", "hybrid"):
        body = {"corpora": corpora, "query": "rare grouse", "mode": mode}
        whole = (await api.post("/v1/search", body | {"top_k": 40})).json()
        assert (len(whole["results"]), whole["next"]) == (40, None)
        pages: list[dict[str, Any]] = []
        cursor = None
        while cursor or not pages:
            answer = await api.post("/v1/search", body | {"top_k": 15, "neighbours": 1, "cursor": cursor})
            assert answer.status_code == 200, answer.text
            pages.append(answer.json())
            cursor = pages[-1]["next"]
        results = [result for page in pages for result in page["results"]]
        assert [len(page["results"]) for page in pages] == [15, 15, 10]
        assert [result["rank"] for result in results] == list(range(1, 41))
        assert [(result["chunk_id"], result["score"]) for result in results] == [
            (result["chunk_id"], result["score"]) for result in whole["results"]
        ], mode
    following = pages[0]["next"]
    assert len(following) < 100
    # the corpus that goes meanwhile takes its own hits along, and moves nobody else's
    with psycopg.connect(database.pipeline_url) as rows:
        rows.execute("UPDATE cixml.documents SET deleted_at = now() WHERE url = 'https://e.com/least'")
    left = (await api.post("/v1/search", body | {"top_k": 100, "cursor": following})).json()["results"]
    assert [result["chunk_id"] for result in left] == [
        result["chunk_id"] for result in results[15:] if result["corpus"] != "least"
    ]
    for other in (
        {"query": "another"},
        {"mode": "dense"},
        {"corpora": corpora[:2]},
        {"corpora": corpora[::-1]},
        {"filter": {"field": "language", "eq": "en"}},
    ):
        refused = await api.post("/v1/search", body | {"cursor": following} | other)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/cursor"), other
    one = await api.post("/v1/corpora/docs/search", {"query": "rare grouse", "mode": mode, "cursor": following})
    assert one.status_code == 422
