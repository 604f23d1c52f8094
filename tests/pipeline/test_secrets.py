"""An API key leaves no trace: used everywhere, then looked for in every store of the stack, as it is and hashed."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator

import httpx
import psycopg
import redis
from psycopg import sql

from cixml import keys
from resources.membership import caller_id_of
from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.web_server import Page, WebServer
from tests.stack import Stack, ended

_BASE64 = re.compile(rb"[A-Za-z0-9+/=]{40,}")


def test_a_key_is_in_no_store_neither_as_it_is_nor_hashed(stack: Stack, embedding_server: EmbeddingServer) -> None:
    pepper = stack.values["CIXML_API__KEY_PEPPER"]
    key = keys.create_key(stack.home.keys_file, pepper, name="planted", is_operator=True)
    use_everything(stack, key, embedding_server)

    digest = hashlib.sha256(key.encode())
    secrets = [key.encode(), key.encode().hex().encode(), digest.hexdigest().encode(), digest.digest()]
    secrets += [base64.b64encode(digest.digest()).rstrip(b"=")]
    caller_id = caller_id_of(key, pepper).encode()
    places_of_the_caller: set[str] = set()
    for place, content in everything(stack):
        for secret in secrets:
            assert secret not in content, f"the key is in {place}"
        if caller_id in content or b"planted-" in content:  # the caller's rows, and its partition in Dagster
            places_of_the_caller.add(place.partition(":")[0])
    # What is meant to be there is found: the scan sees what it looks at.
    assert {
        "cixml.callers",
        "cixml.jobs",
        "cixml.audit",
        "public.event_logs",
        "public.runs",
        "redis",
        "keys.json",
    } <= places_of_the_caller


def use_everything(stack: Stack, key: str, embedding_server: EmbeddingServer) -> None:
    """Call each route, well and badly, with a job that goes well and one that fails."""
    pages = {"/a": Page("<main><p>" + "A page about the habits of the hazel grouse. " * 9 + "</p></main>")}
    headers = {"Authorization": f"Bearer {key}"}
    with (
        WebServer(pages) as site,
        stack.client(key) as client,
        httpx.Client(base_url=stack.url, headers=headers) as http,
    ):
        good = ended(client, client.submit("planted", [f"{site.url}/a"])["id"])
        bad = ended(client, client.submit("planted", [f"{site.url}/missing"])["id"])
        assert (good["status"], bad["status"]) == ("succeeded", "failed")
        assert client.search("planted", "hazel grouse")["results"]
        paths = http.get("/openapi.json").json()["paths"]
        values = {"{job_id}": bad["id"], "{name}": "planted"}
        for path, routes in paths.items():
            for place, value in values.items():
                path = path.replace(place, value)
            for method in routes:
                if method != "delete":
                    assert http.request(method, re.sub(r"\{\w+\}", "none", path), json={}).status_code < 500, path
        for answer in (
            http.get(f"/v1/jobs/{key}"),
            http.get("/v1/jobs", params={"cursor": key}),
            http.post("/v1/jobs", content=key.encode()),
            http.get("/v1/jobs", headers={"Authorization": f"Bearer {key}x"}),
            http.get("/v1/jobs", headers={"Authorization": "Bearer", "X-API-Key": key}),
        ):
            assert answer.status_code < 500
            assert key not in answer.text.replace(f"/v1/jobs/{key}", ""), "an error repeats the key"
        embedding_server.fail_next(1, status=500)
        http.post("/v1/corpora/planted/search", json={"query": "another question"})
        assert http.get("/v1/audit").json()["content"]  # writes what waits


def everything(stack: Stack) -> Iterator[tuple[str, bytes]]:
    """Yield each row of each table, each value in Redis, each file of the state folder, and the metrics."""
    for url in (stack.values["DATABASE_URL"], stack.values["CIXML_DAGSTER__DATABASE_URL"]):
        yield from rows_of(url.replace("postgresql+psycopg2", "postgresql").partition("?")[0])
    yield from values_of(stack.values["REDIS_URL"])
    own = (stack.home.postgres, stack.home.valkey)
    for path in stack.home.root.rglob("*"):
        if path.is_file() and not any(folder in path.parents for folder in own):
            yield str(path.relative_to(stack.home.root)), path.read_bytes()
    port = stack.values["CIXML_API__METRICS_PORT"]
    yield "metrics", httpx.get(f"http://127.0.0.1:{port}/metrics").content


def rows_of(url: str) -> Iterator[tuple[str, bytes]]:
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'"
        ).fetchall()
        for schema, table in [*tables, ("pg_catalog", "pg_stat_activity")]:
            statement = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(schema, table))
            for (row,) in connection.execute(statement):
                yield f"{schema}.{table}", row.encode()


def values_of(url: str) -> Iterator[tuple[str, bytes]]:
    """Yield names and values. Messages of runs are in base64: they are decoded too."""
    readers = {b"string": "get", b"list": "lrange", b"set": "smembers", b"hash": "hgetall", b"zset": "zrange"}
    with redis.Redis.from_url(url) as client:
        for name in client.scan_iter():
            reader = readers[client.type(name)]
            ends = (0, -1) if reader in ("lrange", "zrange") else ()
            value = getattr(client, reader)(name, *ends)
            parts = value if isinstance(value, list | set) else value.items() if isinstance(value, dict) else [value]
            for part in parts:
                content = b"=".join(part) if isinstance(part, tuple) else part or b""
                yield f"redis:{name!r}", name + b" " + content + b" ".join(map(decoded, _BASE64.findall(content)))


def decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
