"""robots.txt by RFC 9309: reading the file and asking it. Fetching it is robots_gate.py.

Read here and not by a library: robotspy's line patterns take quadratic time on one long line and its groups
leak rules from one agent to the next; Python's own parser knows neither the longest match nor `*` and `$`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from resources.web.urls import normalize_escapes

MAX_ROBOTS_BYTES = 500 * 1024  # RFC 9309 2.5: what has to be parsed at least; the rest is not read
MAX_LINE_CHARACTERS = 8 * 2083 - 1  # as much as Google's parser keeps of one: 8 times the longest URL of a browser
_PRODUCT_TOKEN = re.compile(r"[A-Za-z_-]+")  # RFC 9309 2.2.1
_VISIBLE = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"  # not to be escaped by quote()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A line. `start`, `parts` and `end` are its pattern between the `*`; `end` is None without a last `$`."""

    pattern: str
    allows: bool
    start: str
    parts: tuple[str, ...]
    end: str | None

    @classmethod
    def parse(cls, pattern: str, *, allows: bool) -> Self:
        is_anchored = pattern.endswith("$")
        literal = (pattern[:-1] if is_anchored else pattern).replace("$", "%24")
        start, *parts = literal.split("*")
        end = (parts.pop() if parts else "") if is_anchored else None
        return cls(pattern=pattern, allows=allows, start=start, parts=tuple(parts), end=end)

    def matches_rest(self, target: str) -> bool:
        """Say whether what follows `start` fits; `*` is any run. Linear: the first fit of each part will do."""
        position = len(self.start)
        if "*" not in self.pattern:
            return self.end is None or position == len(target)
        for part in self.parts:
            found = target.find(part, position)
            if found < 0:
                return False
            position = found + len(part)
        return self.end is None or (len(target) - len(self.end) >= position and target.endswith(self.end))

    def __str__(self) -> str:
        return f"{'Allow' if self.allows else 'Disallow'}: {self.pattern}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsRules:
    """The rules for one agent, longest pattern first, Allow first among equals."""

    rules: tuple[Rule, ...] = ()
    crawl_delay_seconds: float = 0.0

    def match(self, href: str) -> Rule | None:
        """Return the rule that decides on a URL, None when none speaks of it (so it is allowed)."""
        target = _target(href)
        if target == "/robots.txt":  # RFC 9309 2.2.2: always allowed
            return None
        starts_with = target.startswith  # the first look decides most; a large site has a thousand rules
        return next((rule for rule in self.rules if starts_with(rule.start) and rule.matches_rest(target)), None)

    def allows(self, href: str) -> bool:
        rule = self.match(href)
        return rule is None or rule.allows


def product_token(user_agent: str) -> str:
    """Return the name that robots.txt groups use: `cixml` of `cixml/0.1 (+https://...)`."""
    match = _PRODUCT_TOKEN.match(user_agent)
    return match[0].lower() if match else ""


def parse_robots(text: str, *, agent: str) -> RobotsRules:
    """Return the rules for a product token: of its own groups, else of the groups for `*`."""
    own, others = _Group(), _Group()
    found_own = False
    current: list[_Group] = []
    collecting_agents = False
    for key, value in _records(text):
        if key == "user-agent":
            if not collecting_agents:
                current = []
            collecting_agents = True
            name = _agent_name(value)
            if name == agent.lower():
                found_own = True
                current.append(own)
            elif name == "*":
                current.append(others)
        elif key in ("allow", "disallow"):
            collecting_agents = False
            for group in current:
                group.add_rule(value, allows=key == "allow")
        elif key == "crawl-delay":
            for group in current:
                group.set_delay(value)
    return (own if found_own else others).finished()


def sitemap_lines(text: str) -> Iterator[str]:
    """Yield the sitemaps that a robots.txt names, as it writes them. They are of no group."""
    for key, value in _records(text):
        if key == "sitemap" and value:
            yield value


class _Group:
    def __init__(self) -> None:
        self._rules: dict[str, bool] = {}
        self._delay_seconds = 0.0

    def add_rule(self, value: str, *, allows: bool) -> None:
        if not value:
            return  # an empty Disallow allows everything
        self._add(_escaped(value), allows=allows)
        if allows and value.endswith("/index.html"):  # as Google reads it: a folder's page is the folder
            self._add(_escaped(value.removesuffix("index.html")) + "$", allows=True)

    def _add(self, pattern: str, *, allows: bool) -> None:
        self._rules[pattern] = self._rules.get(pattern, False) or allows

    def set_delay(self, value: str) -> None:
        if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", value):
            self._delay_seconds = float(value)

    def finished(self) -> RobotsRules:
        ordered = sorted(self._rules.items(), key=lambda item: (len(item[0]), item[1]), reverse=True)
        rules = tuple(Rule.parse(pattern, allows=allows) for pattern, allows in ordered)
        return RobotsRules(rules=rules, crawl_delay_seconds=self._delay_seconds)


def _records(text: str) -> Iterator[tuple[str, str]]:
    for line in re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")):
        content = line[:MAX_LINE_CHARACTERS].partition("#")[0].strip()
        key, colon, value = content.partition(":")
        if not colon:
            words = content.split()
            if len(words) != 2:
                continue
            key, value = words  # a forgotten colon, as Google reads it
        yield key.strip().lower(), value.strip()


def _agent_name(value: str) -> str:
    if value == "*" or value.startswith("* "):
        return "*"
    match = _PRODUCT_TOKEN.match(value)
    return match[0].lower() if match else ""


def _escaped(text: str) -> str:
    """Return a path as it is compared, by its octets (RFC 9309 2.2.2); in a query `:` and `/` may be escaped or not."""
    path, mark, query = normalize_escapes(quote(text, safe=_VISIBLE, errors="surrogateescape")).partition("?")
    return path + mark + query.replace("%3A", ":").replace("%2F", "/")


def _target(href: str) -> str:
    """Return path and query of a normalised URL, as rules are compared with them."""
    scheme_end = href.find("://")
    path_at = href.find("/", scheme_end + 3) if scheme_end >= 0 else 0
    target = href[path_at:] if path_at >= 0 else "/"
    return _escaped(target.partition("#")[0]).replace("*", "%2A").replace("$", "%24") or "/"
