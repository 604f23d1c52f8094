"""robots.txt of the hosts that this process has met, kept for an hour."""

from __future__ import annotations

import time
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

import httpx

_KEPT_SECONDS = 3600.0


class Robots:
    def __init__(self, client: httpx.Client, user_agent: str) -> None:
        self._client = client
        self._user_agent = user_agent
        self._known: dict[str, tuple[float, RobotFileParser]] = {}

    def allows(self, url: str) -> bool:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        read_at, rules = self._known.get(origin, (0.0, None))
        if rules is None or time.monotonic() - read_at > _KEPT_SECONDS:
            rules = self._read(origin)
            self._known[origin] = (time.monotonic(), rules)
        return rules.can_fetch(self._user_agent, url)

    def _read(self, origin: str) -> RobotFileParser:
        answer = self._client.get(f"{origin}/robots.txt")
        if answer.is_server_error:
            answer.raise_for_status()
        rules = RobotFileParser()
        rules.parse(answer.text.splitlines() if answer.is_success else [])
        return rules
