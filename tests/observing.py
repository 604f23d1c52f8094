"""Prometheus for tests: scrapes the product on a clock of its own, asks the queries of dashboards and rules.

The clock runs a minute at each scrape, whatever the wall says: a fault of seconds is watched for as long as an alert's
`for` asks. Samples are the product's own. What is told of a target once and no more is stale, as Prometheus has it.
The engine is prombed, a subset of PromQL (docs/adr/0025-promql-in-tests-by-prombed.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import yaml
from prombed import Prombed, Sample, label_key, parse_duration, parse_exposition

from resources.settings import PROJECT_ROOT

OBSERVABILITY = PROJECT_ROOT / "deploy" / "observability"
STEP_MS = 60_000
Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Rule:
    """An alert of the rules file. `lasts_ms` is its `for`."""

    name: str
    query: str
    lasts_ms: int
    annotations: Mapping[str, str]
    labels: Mapping[str, str]


def rules() -> list[Rule]:
    """Return every alert."""
    text = (OBSERVABILITY / "alerts" / "cixml.yaml").read_text(encoding="utf-8")
    return [
        Rule(
            name=rule["alert"],
            query=rule["expr"],
            lasts_ms=0 if rule["for"] == "0m" else parse_duration(rule["for"]),
            annotations=rule["annotations"],
            labels=rule["labels"],
        )
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    ]


def panel_queries() -> list[tuple[str, str]]:
    """Return (dashboard / panel / legend, query) of every query on metrics."""
    found = []
    for path in sorted((OBSERVABILITY / "grafana" / "dashboards").glob("*.json")):
        dashboard: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for panel in dashboard["panels"]:
            if panel["type"] == "timeseries":
                for target in panel["targets"]:
                    name = f"{dashboard['uid']} / {panel['title']} / {target['legendFormat']}"
                    found.append((name, target["expr"].replace("$__rate_interval", "5m")))
    return found


class Prometheus:
    """What was scraped, from one target or several, on a clock that `scrape` moves on."""

    def __init__(self, http: httpx.Client) -> None:
        self._engine = Prombed(retention_ms=24 * 3_600_000, max_series=100_000)
        self._http = http
        self._told: dict[str, dict[str, str]] = {}
        self.now_ms = 1_800_000_000_000
        self.texts: list[tuple[int, str]] = []

    def scrape(self, url: str, *, times: int = 1, faster: Mapping[str, float] | None = None) -> None:
        """Scrape so often, a minute apart. `faster`: gauges of age whose clock runs so much faster than the wall's."""
        for _ in range(times):
            self.now_ms += STEP_MS
            self._keep(self.read(url), faster or {})

    def read(self, url: str) -> str:
        """Return what a target tells now, nothing where it does not answer."""
        try:
            return self._http.get(url).raise_for_status().text
        except httpx.HTTPError:
            return ""

    def _keep(self, text: str, faster: Mapping[str, float]) -> None:
        target = {"job": "cixml-api", "instance": "api:8081"}
        told = {}
        lines = [f"up{_braces(target)} {int(bool(text))}"]
        for sample in parse_exposition(text).samples:
            labels = {**sample.labels, **target}
            series = {**labels, "__name__": sample.name}
            told[label_key(series)] = series
            lines.append(f"{sample.name}{_braces(labels)} {_number(sample.value * faster.get(sample.name, 1.0))}")
        self._engine.ingest("\n".join(lines) + "\n", timestamp_ms=self.now_ms)
        self.texts.append((self.now_ms, "\n".join(lines)))
        for gone in self._told.keys() - told.keys():
            self._engine.storage.append(self._told[gone], Sample(self.now_ms, math.nan, stale=True))
        self._told = told

    def ask(self, query: str, at_ms: int | None = None) -> dict[Labels, float]:
        """Return the value of each series of the answer."""
        answer = self._engine.query(query, self.now_ms if at_ms is None else at_ms)
        return {frozenset(each["metric"].items()): float(each["value"][1]) for each in answer["data"]["result"]}

    def value(self, query: str) -> float | None:
        """Return the one value of the answer now, None where there is none."""
        found = self.ask(query)
        assert len(found) <= 1, found
        return next(iter(found.values()), None)

    def is_firing(self, rule: Rule, at_ms: int | None = None) -> bool:
        """Return whether a series of the rule was there at every step of its `for`."""
        last = self.now_ms if at_ms is None else at_ms
        alive: set[Labels] | None = None
        for at in range(last, last - rule.lasts_ms - 1, -STEP_MS):
            series = set(self.ask(rule.query, at))
            alive = series if alive is None else alive & series
        return bool(alive)


def _braces(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else "+Inf" if value == math.inf else repr(value)


def answers(text: str, query: str) -> bool:
    """Return whether a query has an answer in one scrape alone, off the clock."""
    engine = Prombed()
    engine.ingest(text, timestamp_ms=STEP_MS)
    return bool(engine.query(query, STEP_MS)["data"]["result"])
