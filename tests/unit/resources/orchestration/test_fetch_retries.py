"""When a page is asked for again."""

from __future__ import annotations

import pytest

from resources.errors import HostPausedError, ScrapingError
from resources.orchestration.fetch_retries import CAP_SECONDS, host_pause, retry_delay
from resources.settings import FetchSettings

SETTINGS = FetchSettings(max_attempts=3, max_retry_after_seconds=100)


def busy(retry_after_seconds: float | None = None) -> ScrapingError:
    return ScrapingError("http_5xx", "busy", retryable=True, retry_after_seconds=retry_after_seconds)


def delay(
    error: ScrapingError, *, attempts: int, paused_seconds: float = 0.0, settings: FetchSettings = SETTINGS
) -> float | None:
    return retry_delay(error, attempts=attempts, paused_seconds=paused_seconds, settings=settings)


@pytest.mark.parametrize(("attempts", "most"), [(1, 4), (2, 8)])
def test_backoff_grows_and_is_spread_out(attempts: int, most: float) -> None:
    delays = [delay(busy(), attempts=attempts) or 0 for _ in range(300)]
    assert 0.5 <= min(delays) < most / 4
    assert most * 3 / 4 < max(delays) <= most


def test_backoff_is_capped() -> None:
    settings = FetchSettings(max_attempts=1000)
    assert max(delay(busy(), attempts=500, settings=settings) or 0 for _ in range(100)) <= CAP_SECONDS


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (ScrapingError("http_4xx", "gone"), 1),
        (ScrapingError("http_4xx", "gone", retry_after_seconds=5), 1),
        (busy(), 3),
        (busy(retry_after_seconds=101), 1),
    ],
)
def test_what_will_not_pass_is_not_tried_again(error: ScrapingError, attempts: int) -> None:
    assert delay(error, attempts=attempts) is None


def test_time_that_the_host_names_is_waited_for_and_no_two_pages_come_back_at_once() -> None:
    delays = {delay(busy(retry_after_seconds=60), attempts=1) or 0 for _ in range(50)}
    assert min(delays) > 60
    assert len(delays) > 40


def test_page_of_a_paused_host_waits_whatever_its_attempts() -> None:
    error = HostPausedError(99)
    assert (delay(error, attempts=3, paused_seconds=SETTINGS.max_host_wait_seconds - 1) or 0) > 99
    assert host_pause(error, SETTINGS) is None  # it is held already


def test_host_that_never_ends_its_pauses_keeps_no_page_for_ever() -> None:
    most = SETTINGS.max_host_wait_seconds
    assert delay(HostPausedError(99), attempts=0, paused_seconds=most) is None
    assert delay(busy(), attempts=1, paused_seconds=most) is not None  # its turn has come


def test_host_is_held_for_the_time_it_names_up_to_the_limit() -> None:
    assert host_pause(busy(retry_after_seconds=60), SETTINGS) == 60
    assert host_pause(busy(retry_after_seconds=86_400), SETTINGS) == 100
    assert host_pause(busy(), SETTINGS) is None
    assert host_pause(ScrapingError("http_4xx", "gone", retry_after_seconds=60), SETTINGS) is None


def test_host_that_redirects_is_not_held_for_what_the_other_asks() -> None:
    error = busy(retry_after_seconds=60)
    error.is_of_redirect = True
    assert host_pause(error, SETTINGS) is None
    assert (delay(error, attempts=1) or 0) > 60
