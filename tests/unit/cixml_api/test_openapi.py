"""The OpenAPI document: what is not said there, no route may take or answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from cixml_api.app import Embedding, create_app
from cixml_api.errors import MEDIA_TYPE
from resources.settings import Settings
from tests.api import ALICE, StillBreaker, WordEmbedder, write_keys
from tests.contract import METHODS, operations
from tests.database import PEPPER

NOT_SCHEMAS = ("examples", "example", "default", "required", "enum", "const", "discriminator")
OPEN = ("/livez", "/readyz", "/healthz")
FOR_ALL = {"401", "429", "503"}


async def nothing() -> None:
    return None


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    write_keys(tmp_path / "keys.json", ALICE)
    api = {"database_url": "postgresql://nobody@127.0.0.1:1/none", "key_pepper": PEPPER, "keys_file": tmp_path / "k"}
    embedding = Embedding(
        embedders=(WordEmbedder(),), breakers=(StillBreaker(),), cache=None, ping_redis=nothing, close=nothing
    )
    app = create_app(Settings.load(api=api), embedding=embedding)
    assert operations(app)
    return app.openapi()


def subschemas(schema: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema in a schema with its place."""
    if isinstance(schema, list):
        for position, inner in enumerate(schema):
            yield from subschemas(inner, f"{place}/{position}")
    if not isinstance(schema, dict):
        return
    yield place, schema
    for name, inner in schema.items():
        if name in ("properties", "$defs"):
            for field, each in inner.items():
                yield from subschemas(each, f"{place}/{field}")
        elif name not in NOT_SCHEMAS and isinstance(inner, dict | list):
            yield from subschemas(inner, f"{place}/{name}")


def routes(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert method in METHODS
            yield f"{method.upper()} {path}", route


def test_no_schema_takes_just_anything(document: dict[str, Any]) -> None:
    schemas = dict(document["components"]["schemas"])
    for name, route in routes(document):
        for position, parameter in enumerate(route.get("parameters", [])):
            schemas[f"{name} {position}"] = parameter["schema"]
    for name, schema in schemas.items():
        for place, found in subschemas(schema, name):
            assert found, f"{place} takes anything"
            if found.get("type") == "object" or "properties" in found:
                more = found.get("additionalProperties")
                assert more is False or (isinstance(more, dict) and more), f"{place} is a free object"
            if found.get("type") == "array":
                assert found.get("items"), f"{place} is a free list"


def test_every_route_tells_its_errors_one_by_one(document: dict[str, Any]) -> None:
    for name, route in routes(document):
        answers = set(route["responses"])
        assert "default" not in answers, name
        assert not any("X" in status for status in answers), name
        if name.endswith(OPEN):
            continue
        assert answers >= FOR_ALL, name
        if "{" in name:
            assert "404" in answers, name
        if "requestBody" in route:
            assert answers >= {"400", "413", "415", "422"}, name
        if any(parameter["in"] != "path" for parameter in route.get("parameters", [])):
            assert "422" in answers, name
        for status in (status for status in answers if status[0] in "45"):
            example = route["responses"][status]["content"][MEDIA_TYPE]["example"]
            family = f"cixml_{route['operationId'].partition('.')[0]}_"
            assert example["status"] == int(status), name
            assert example["error_code"].startswith(family), name


def test_every_body_and_answer_has_an_example_that_its_schema_takes(document: dict[str, Any]) -> None:
    for name, route in routes(document):
        contents = [
            (status, media_type, content)
            for status, answer in route["responses"].items()
            for media_type, content in answer.get("content", {}).items()
        ]
        contents += [("body", *each) for each in route.get("requestBody", {}).get("content", {}).items()]
        for status, media_type, content in contents:
            examples = [content["example"]] if "example" in content else _resolved(document, content)["examples"]
            assert examples, (name, status)
            validator = jsonschema_rs.validator_for(content["schema"] | {"components": document["components"]})
            for example in examples:
                errors = [f"{'/'.join(map(str, e.instance_path))}: {e.message}" for e in validator.iter_errors(example)]
                assert not errors, (name, status, media_type, errors)


def _resolved(document: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    return found
