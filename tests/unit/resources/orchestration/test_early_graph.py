from __future__ import annotations

from typing import Any, NoReturn, cast

import pytest

from resources.errors import DatabaseUnavailableError
from resources.orchestration.early_graph import EarlyGraph


class NoDatabase:
    """A runtime whose database is away."""

    def new_database(self) -> NoReturn:
        raise DatabaseUnavailableError


def graph(*, texts: int, missing: int) -> EarlyGraph:
    return EarlyGraph(cast(Any, NoDatabase()), cast(Any, None), cast(Any, None), texts=texts, missing=missing)


def test_a_build_is_begun_once_before_the_last_texts_and_its_failure_comes_out() -> None:
    with graph(texts=100, missing=100) as early:
        early.stored(90)
        assert early.result() is None, "ten are missing yet"
        early.stored(1)
        early.stored(9)
    with pytest.raises(DatabaseUnavailableError):
        early.result()


def test_where_few_texts_were_missing_the_graph_is_left_to_the_end() -> None:
    with graph(texts=100, missing=9) as early:
        early.stored(9)
    assert early.result() is None
