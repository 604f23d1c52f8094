"""Fixtures of the whole product: one stack for all files here, stopped when a worker goes on to other tests."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.pipeline.dagster_api import DagsterApi
from tests.stack import Stack, embedding_server, stack

__all__ = ["embedding_server", "stack"]


@pytest.fixture
def dagster_api(stack: Stack) -> DagsterApi:
    url = stack.status().dagster_url
    assert url
    return DagsterApi(url)


@pytest.fixture
def owner(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(stack.values["DATABASE_URL"], autocommit=True) as connection:
        yield connection
