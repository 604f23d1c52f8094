"""What every connection asks of the server by itself: a deployment's own Postgres has its own defaults."""

from __future__ import annotations

from typing import Any

import psycopg

from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.pool import create_pool
from tests.database import Database

CHECK = "SHOW client_connection_check_interval"


def test_the_server_looks_whether_its_client_still_lives(
    owner: psycopg.Connection[Any], pipeline: PipelineDatabase
) -> None:
    with pipeline.session() as connection:
        assert connection.execute(CHECK).fetchone() == ("2s",)
    assert owner.execute(CHECK).fetchone() == ("0",), "the server's default"


async def test_so_it_does_for_the_api(database: Database) -> None:
    async with create_pool(database.settings()) as pool, pool.connection() as connection:
        assert await (await connection.execute(CHECK)).fetchone() == ("2s",)
