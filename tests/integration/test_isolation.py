"""Another caller's id and one that nobody has answer alike: on every route that takes an id, whatever is sent along."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest_asyncio

from resources.membership import caller_id_of
from tests.api import ALICE, BOB, Api, running_api
from tests.contract import Operation, make_one_of_each, operations
from tests.database import PEPPER, Database

BOBS = caller_id_of(BOB, PEPPER)
ALICES = caller_id_of(ALICE, PEPPER)
SAME = {"X-Request-Id": "the-same", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
CONDITIONS: tuple[dict[str, str], ...] = (
    {},
    {"If-None-Match": "*", "Prefer": "wait=1", "Last-Event-ID": "1"},
    {"If-Match": "*", "Idempotency-Key": "the-same"},
    {"If-Match": '"1-0"'},
)
ROUNDS = 3
"""So often is each asked: an answer must not change with what was asked before, as by a memory of what there is."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """What Alice has, under the names that routes give it."""

    api: Api
    alices: Mapping[str, str]

    @property
    def missing(self) -> dict[str, str]:
        """Return an id of the same form that nobody has."""
        return {
            name: f"{ALICES}:nothing" if name == "name" else f"{value.partition('_')[0]}_{uuid4().hex}"
            for name, value in self.alices.items()
        }


@pytest_asyncio.fixture
async def places(database: Database, tmp_path: Path) -> AsyncIterator[Places]:
    limits = {"requests_per_minute": 0}
    async with running_api(database.settings(api={"keys_file": tmp_path / "keys.json"}, limits=limits)) as api:
        ids = await make_one_of_each(api, database, key=ALICE, corpus="docs")
        await make_one_of_each(api, database, key=BOB, corpus="docs")
        yield Places(api=api, alices=ids | {"name": f"{ALICES}:docs"})


def seen(answer: httpx.Response, ids: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
    """Return all of an answer but the ids that were asked for."""
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    text = answer.text
    for name in sorted(ids, key=lambda each: -len(ids[each])):
        text = text.replace(ids[name], f"<{name}>").replace(repr(ids[name].rpartition(":")[2]), f"<{name}>")
    return answer.status_code, headers, text


async def ask(places: Places, operation: Operation, ids: Mapping[str, str], **more: Any) -> httpx.Response:
    body = operation.body()
    headers = SAME | body.pop("headers", {}) | more.pop("headers", {})
    path = operation.at(**{name: ids[name] for name in operation.ids})
    given = {"params": operation.needed} | body | more
    return await places.api.send(operation.method, path, key=BOB, headers=headers, **given)


async def test_anothers_id_answers_like_one_that_nobody_has(places: Places) -> None:
    found = [each for each in operations(places.api.app) if each.ids]
    assert {name for each in found for name in each.ids} <= set(places.alices), "let `make_one_of_each` make these"
    missing = places.missing
    for operation in found:
        for headers in CONDITIONS:
            for _ in range(ROUNDS if not headers else 1):
                theirs = await ask(places, operation, places.alices, headers=headers)
                nobodys = await ask(places, operation, missing, headers=headers)
                assert theirs.status_code == 404, (operation.name, headers, theirs.text)
                assert seen(theirs, places.alices) == seen(nobodys, missing), (operation.name, headers)
            wrong = {"content": b'{"nonsense": 1}', "headers": headers | {"Content-Type": "application/json"}}
            theirs = await ask(places, operation, places.alices, **wrong)
            nobodys = await ask(places, operation, missing, **wrong)
            assert seen(theirs, places.alices) == seen(nobodys, missing), (operation.name, headers)


async def test_anothers_id_in_an_own_corpus_answers_like_one_that_nobody_has(places: Places) -> None:
    for operation in operations(places.api.app):
        if len(operation.ids) < 2 or operation.ids[0] != "name" or operation.ids[1] == "caller_id":
            continue
        alices, missing = ({**ids, "name": "docs"} for ids in (places.alices, places.missing))
        theirs, nobodys = await ask(places, operation, alices), await ask(places, operation, missing)
        assert theirs.status_code == 404, (operation.name, theirs.text)
        assert seen(theirs, alices) == seen(nobodys, missing), operation.name


async def test_anothers_corpus_or_item_in_a_body_answers_like_a_missing_one(places: Places) -> None:
    missing = places.missing
    own = (await places.api.get("/v1/jobs", key=BOB)).json()["content"][0]["id"]
    await places.api.post(f"/v1/jobs/{own}/cancel", {}, key=BOB)
    for path, body in (
        ("/v1/jobs", {"corpus": "<name>", "urls": ["https://docs.example.com/b"]}),
        (f"/v1/jobs/{own}/retry", {"items": ["<item_id>"]}),
    ):
        answers = []
        for ids in (places.alices, missing):
            filled = {
                field: [ids["item_id"]] if field == "items" else ids["name"] if value == "<name>" else value
                for field, value in body.items()
            }
            answer = await places.api.post(path, filled, key=BOB, headers=SAME)
            assert 400 <= answer.status_code < 500, (path, answer.text)
            answers.append(seen(answer, ids))
        assert answers[0] == answers[1], path


async def test_lists_and_filters_show_nothing_of_another(places: Places) -> None:
    ids = "|".join(re.escape(places.alices[name]) for name in ("job_id", "item_id", "document_id"))
    for operation in operations(places.api.app):
        if operation.method != "GET" or operation.ids or not operation.needs_key or operation.path == "/v1/audit":
            continue
        answer = await places.api.get(operation.path, key=BOB)
        assert answer.status_code == 200, (operation.name, answer.text)
        assert not re.search(f"{ids}|{ALICES}", answer.text), operation.name
        for parameter in operation.parameters:
            if parameter.name == "corpus":
                filtered = [
                    seen(
                        await places.api.get(operation.path, key=BOB, headers=SAME, params={"corpus": name}),
                        {"n": name},
                    )
                    for name in (places.alices["name"], places.missing["name"])
                ]
                assert filtered[0] == filtered[1], operation.name
