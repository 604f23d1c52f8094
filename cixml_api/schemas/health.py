"""Health of the parts."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from cixml_api import examples
from cixml_api.schemas.common import Answer


class Live(Answer):
    model_config = ConfigDict(json_schema_extra={"examples": examples.LIVE})

    status: Literal["ok"] = "ok"


class Ready(Answer):
    """Whether this process may get requests. Each check is `ok` or says what is wrong."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.READY})

    status: Literal["ready", "not_ready"]
    checks: dict[str, str]


class PartHealth(Answer):
    status: Literal["ok", "down"]
    detail: str | None = None


class MembershipHealth(Answer):
    """How callers are known, and whether that worked when it was last tried."""

    kind: Literal["key_file", "service"]
    status: Literal["ok", "down"]
    since_seconds: float
    detail: str | None


class BreakerHealth(Answer):
    """The circuit breaker of one embedding server."""

    model: str
    breaker: Literal["closed", "open", "half_open"]
    since_seconds: float
    retry_after_seconds: float
    reason: str | None
    shared: bool


class QueueHealth(Answer):
    """Items over all callers."""

    ready: int
    waiting: int
    leased: int
    oldest_seconds: float


class Health(Answer):
    """Details for the operator. `degraded`: it works, but not all of it; `warnings` name what and the remedy."""

    model_config = ConfigDict(json_schema_extra={"examples": examples.HEALTH})

    status: Literal["ok", "degraded", "down"]
    postgres: PartHealth
    redis: PartHealth
    membership: MembershipHealth
    embedding: list[BreakerHealth]
    queue: QueueHealth | None
    worker_slots: int | None
    warnings: list[str]
