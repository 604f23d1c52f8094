"""What a caller may have and has."""

from __future__ import annotations

from pydantic import ConfigDict

from cixml_api import examples
from cixml_api.schemas.common import Answer


class Allowance(Answer):
    """One limit. `limit` null: there is none. `reset_seconds` null: it does not come back by waiting alone."""

    limit: int | None
    used: int
    reset_seconds: float | None


class Quota(Answer):
    """`requests-per-minute` and so on are the names of these limits in `violated-policies`."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.QUOTA})

    requests_per_minute: Allowance
    queued_pages: Allowance
    corpora: Allowance
    tokens_per_day: Allowance
