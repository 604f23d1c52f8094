"""Which failed fetches are tried again, and when: backoff with full jitter, after what the host asked for."""

from __future__ import annotations

import random

from resources.errors import HostPausedError, ScrapingError
from resources.settings import FetchSettings

BASE_SECONDS = 2.0
CAP_SECONDS = 60.0
LEAST_SECONDS = 0.5


def retry_delay(error: ScrapingError, *, attempts: int, paused_seconds: float, settings: FetchSettings) -> float | None:
    """Return the seconds before the next try of a page, or None where there is none.

    There is none for what will not pass, after the last attempt, and where the host asks for a longer pause than an
    item waits. A page that was not even asked for, because its host is paused, has a next try whatever its attempts,
    until it has been kept from its host for `paused_seconds` that are too many.
    """
    pause_seconds = error.retry_after_seconds or 0.0
    jitter = random.uniform(LEAST_SECONDS, min(CAP_SECONDS, BASE_SECONDS * 2.0**attempts))  # noqa: S311  # no secret
    if isinstance(error, HostPausedError):
        return pause_seconds + jitter if paused_seconds < settings.max_host_wait_seconds else None
    if not error.retryable or attempts >= settings.max_attempts or pause_seconds > settings.max_retry_after_seconds:
        return None
    return pause_seconds + jitter


def host_pause(error: ScrapingError, settings: FetchSettings) -> float | None:
    """Return for how long nobody claims pages of the host, None where it asked for no pause."""
    if not error.retryable or not error.retry_after_seconds:
        return None
    if isinstance(error, HostPausedError) or error.is_of_redirect:  # held already; another host's pause
        return None
    return min(error.retry_after_seconds, settings.max_retry_after_seconds)
