"""`cixml doctor` on parts that work and on each that does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from cixml.doctor import Check, Verdict, examine, setting_names
from cixml.embedded.state import Home
from resources.postgres import locks
from resources.postgres.database import Database as PipelineDatabase
from resources.settings import Settings
from tests.database import Database, PostgresServer
from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.valkey import ValkeyServer, running_valkey

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        yield server


@pytest.fixture
def settings(database: Database, valkey: ValkeyServer) -> Iterator[Settings]:
    with EmbeddingServer() as server:
        yield database.settings(redis_url=valkey.url, embedding_api_base_url=server.base_url)


def found(settings: Settings, folder: Path, **environment: str) -> dict[str, Check]:
    """Return the checks by name; a stack never ran in the folder."""
    checks = list(examine(Home(folder), settings, api_url=NOBODY, environment=environment))
    assert all(bool(check.remedy) == (check.verdict is not Verdict.OK) for check in checks)
    return {check.name: check for check in checks}


def test_parts_that_work_are_ok_and_those_that_are_not_there_say_what_to_start(
    settings: Settings, pipeline: PipelineDatabase, owner: psycopg.Connection[Any], tmp_path: Path
) -> None:
    owner.execute("INSERT INTO cixml.workers (id, queues, slots) VALUES ('here', '{ingest}', 4)")
    with pipeline.session() as connection:
        assert locks.try_lock(connection, key=locks.LIFELINE)
        checks = found(settings, tmp_path)
    ok = {name for name, check in checks.items() if check.verdict is Verdict.OK}
    assert ok >= {
        *("settings", "models", "postgres (pipeline)", "postgres (api)", "lifeline", "workers", "queue", "redis"),
        "embedding (all-MiniLM-L6-v2)",
    }
    assert {name: checks[name].verdict for name in ("extractor", "dagster", "api")} == {
        "extractor": "warning",
        "dagster": "failed",
        "api": "failed",
    }
    assert NOBODY in checks["api"].found


def test_what_is_missing_in_postgres_is_named(
    settings: Settings,
    database: Database,
    postgres_server: PostgresServer,
    owner: psycopg.Connection[Any],
    tmp_path: Path,
) -> None:
    checks = found(settings, tmp_path)
    assert (checks["workers"].verdict, checks["lifeline"].verdict) == ("failed", "failed")
    superuser = postgres_server.superuser_url.rpartition("/")[0] + f"/{database.name}"
    unsafe = settings.model_copy(update={"api": settings.api.model_copy(update={"database_url": SecretStr(superuser)})})
    assert "row-level security" in found(unsafe, tmp_path)["postgres (api)"].found
    owner.execute("DELETE FROM cixml.schema_migrations WHERE name LIKE '0001%'")
    checks = found(settings, tmp_path)
    assert checks["postgres (pipeline)"].remedy == "run 'cixml migrate'"
    assert "queue" not in checks


def test_a_server_that_is_away_is_named_with_its_setting(settings: Settings, tmp_path: Path) -> None:
    away = settings.model_copy(
        update={
            "redis_url": SecretStr("redis://127.0.0.1:9/0"),
            "embedding_api_base_url": f"{NOBODY}/v1",
            "pipeline": settings.pipeline.model_copy(update={"database_url": SecretStr("postgresql://127.0.0.1:9/x")}),
        }
    )
    checks = found(away, tmp_path, CIXML_PIPELINE__BATCH_ITEM="9", CIXML_HOME=str(tmp_path), HOME="/")
    assert {checks[name].verdict for name in ("redis", "embedding (all-MiniLM-L6-v2)", "postgres (pipeline)")} == {
        "failed"
    }
    assert "CIXML_PIPELINE__DATABASE_URL" in str(checks["postgres (pipeline)"].remedy)
    assert checks["settings"].found == "nobody reads CIXML_PIPELINE__BATCH_ITEM"


def test_a_redis_that_may_drop_queued_work_fails(settings: Settings, tmp_path: Path) -> None:
    with running_valkey("allkeys-lru") as server:
        check = found(settings.model_copy(update={"redis_url": SecretStr(server.url)}), tmp_path)["redis"]
    assert (check.verdict, "noeviction" in check.found) == ("failed", True)


def test_a_wrong_models_file_is_named_and_the_rest_is_looked_at(settings: Settings, tmp_path: Path) -> None:
    wrong = settings.model_copy(update={"embedding_model": "no-such-model"})
    checks = found(wrong, tmp_path)
    assert checks["models"].verdict == "failed"
    assert "no-such-model" in checks["models"].found
    assert "redis" in checks


def test_every_setting_has_a_name() -> None:
    assert {"CIXML_HOME", "CIXML_FETCH__ALLOW_NETWORKS", "CIXML_API__DATABASE_URL"} <= setting_names()
