"""Data of an older version (tests/data/upgrade): restored, migrated, searched, gone on with."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import psycopg
import pytest

from resources.postgres import lexemes
from resources.postgres.database import Database as PipelineDatabase
from tests.api import Api, running_api
from tests.builders import make_worker
from tests.database import Database
from tests.places import Installation, Places, restore, shape
from tests.rows import index

OLD = Path(__file__).parents[1] / "data" / "upgrade" / "schema-0017.tar.gz"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    with tarfile.open(OLD) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def upgraded(places: Places, old: Path) -> Installation:
    found = places.new()
    places.choose(found)
    restore(found, old)
    return found


async def answers(api: Api, corpus: str, queries: list[str]) -> dict[str, Any]:
    found = {}
    for query in queries:
        answer = await api.post(f"/v1/corpora/{corpus}/search", {"query": query, "top_k": 5})
        assert answer.status_code == 200, answer.text
        hits = answer.json()["results"]
        found[query] = [[hit["url"].rpartition("/")[2], hit["chunk_id"], hit["score"]] for hit in hits]
    return found


def without_own_relations(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Leave out what belongs to one corpus alone: its name has the version's id."""
    return {name: [row for row in rows if "vectors_01" not in str(row)] for name, rows in found.items()}


async def test_an_older_version_s_data_answer_as_they_did_and_go_on(
    upgraded: Installation, database: Database, old: Path
) -> None:
    known = json.loads((old / "answers.json").read_text())
    assert without_own_relations(shape(upgraded.database.owner_url)) == shape(database.owner_url)

    pipeline = PipelineDatabase(upgraded.database.pipeline_url)
    async with running_api(upgraded.database.settings(api={"keys_file": upgraded.keys})) as api:
        for corpus, expected in known["answers"].items():
            assert await answers(api, corpus, list(expected)) == expected, corpus
        assert [(await api.get(f"/v1/jobs/{job}")).json()["status"] for job in known["jobs"]] == known["states"]
        [dead] = (await api.get("/v1/items?status=failed")).json()["content"]
        assert (dead["failed_stage"], dead["error"]["code"]) == ("scraping", "http_4xx")

        keyword = {"query": "zebra otter", "mode": "keyword", "top_k": 3}
        while _fill_in(pipeline):
            pass
        assert len((await api.post("/v1/corpora/large/search", keyword)).json()["results"]) == 3

        with psycopg.connect(upgraded.database.owner_url, autocommit=True) as owner:
            make_worker(owner)
        ended = index(pipeline, b"<p>late</p>", "late words")
        assert [item.status for item in ended] == ["indexed", "indexed"]
        assert (await api.get(f"/v1/jobs/{known['waiting']}")).json()["status"] == "succeeded"
        lineage = await api.get(f"/v1/hits/{known['answers']['large']['stoat badger'][0][1]}/lineage")
        assert lineage.status_code == 200
    pipeline.close()


def _fill_in(pipeline: PipelineDatabase) -> bool:
    with pipeline.transaction() as connection:
        return lexemes.fill_in(connection, limit=1000) > 0
