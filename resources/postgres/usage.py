"""The table `usage`: what each caller used, by day. The ledger (vectors.py) is its proof for tokens.

Pages are counted where items end (end_items.sql), texts in the transaction of their ledger rows, searches by the API.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args
from uuid import UUID

from psycopg import AsyncConnection, Connection
from psycopg.rows import TupleRow, class_row

from resources.postgres.queries import query

Group = Literal["day", "caller", "corpus", "model", "operation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """Sums of one group, or of all (`is_total`, with the number of groups). What is not grouped by is None."""

    is_total: bool
    groups: int
    caller_id: str | None
    corpus: str | None
    model: str | None
    operation: str | None
    day: date | None
    pages: int
    bytes: int
    chunks: int
    embedding_tokens: int
    cached_tokens: int
    searches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCount:
    """Searches of one caller in one corpus on one day (UTC), and the tokens embedded for their queries."""

    caller_id: str
    day: date
    corpus_owner: str
    corpus: str
    model: str
    searches: int
    tokens: int


def count_texts(connection: Connection[TupleRow], *, corpus_id: UUID, model_id: int, paid: Mapping[str, int]) -> None:
    """Add the tokens of new ledger rows by caller. The last statement of its transaction, as `turn` asks for."""
    if paid:
        parameters = {"caller_ids": list(paid), "tokens": list(paid.values())}
        connection.execute(query("count_texts"), parameters | {"corpus_id": corpus_id, "model_id": model_id})


async def count_searches(connection: AsyncConnection[TupleRow], counts: Sequence[SearchCount]) -> None:
    """Add searches, in one statement."""
    names = ("caller_id", "day", "corpus_owner", "corpus", "model", "searches", "tokens")
    await connection.execute(
        query("count_searches"), {name: [getattr(each, name) for each in counts] for name in names}
    )


async def read_usage(
    connection: AsyncConnection[TupleRow],
    *,
    reader: str,
    of_all: bool,
    first: date,
    end: date,
    group_by: Collection[Group],
    limit: int,
    offset: int,
) -> tuple[UsageRow, list[UsageRow]]:
    """Return the total and the groups from the day `first` up to, without, the day `end`.

    `of_all`: of all callers, for an operator. Corpora are named as `reader` addresses them.
    """
    flags = {f"by_{name}": name in group_by for name in get_args(Group)}
    window = {"reader": reader, "first": first, "end": end, "limit": limit, "offset": offset}
    async with connection.pipeline():
        await connection.execute(query("set_caller"), [reader, ""])
        if of_all:
            await connection.execute(query("set_operator"))
        cursor = connection.cursor(row_factory=class_row(UsageRow))
        await cursor.execute(query("read_usage"), flags | window)
    total, *groups = await cursor.fetchall()
    return total, groups
