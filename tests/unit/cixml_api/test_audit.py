"""Audit records that can't be written wait, and that is told."""

from __future__ import annotations

import time

import pytest
from psycopg_pool import AsyncConnectionPool

from cixml_api.access import Access
from cixml_api.audit import AuditLog
from resources.errors import DatabaseUnavailableError


async def test_how_long_records_wait_is_told_and_nothing_while_none_does() -> None:
    log = AuditLog(AsyncConnectionPool("", open=False))
    assert log.unwritten_seconds == 0
    access = Access(method="GET", route="quota_read", peer="127.0.0.1", ids={})
    began = time.monotonic()
    log.add(access, {"request_id": "r", "trace_id": "t"}, status=200)
    with pytest.raises(DatabaseUnavailableError):
        await log.flush()
    assert 0 < log.unwritten_seconds <= time.monotonic() - began + 1
