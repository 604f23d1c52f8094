"""What was used."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import ConfigDict, Field

from cixml_api import examples
from cixml_api.schemas.common import Answer, ListMetadata


class UsageNumbers(Answer):
    """Counted once, however often work was repeated.

    `pages` that were fetched, `bytes` that were fetched or pushed, and `chunks`, of items that ended and were neither
    cancelled nor skipped. `embedding_tokens` count a text once for a caller and a model, and each query that was
    embedded; `cached_tokens` had their vectors and were not embedded again.
    """

    pages: int
    bytes: int
    chunks: int
    embedding_tokens: int
    cached_tokens: int
    searches: int


class UsageGroup(UsageNumbers):
    """The numbers of one group. What is not grouped by is null; `operation` is `index` or `search`."""

    caller_id: str | None
    corpus: str | None
    model: str | None
    operation: Literal["index", "search"] | None
    day: date | None


class UsageReport(Answer):
    """What was used from the day `from` up to, without, the day `to` (UTC), by group, and in all."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.USAGE})

    from_: date = Field(alias="from")
    to: date
    total: UsageNumbers
    content: list[UsageGroup]
    metadata: ListMetadata = Field(alias="_metadata")
