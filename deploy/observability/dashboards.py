"""Makes the dashboards of Grafana: `python deploy/observability/dashboards.py` writes grafana/dashboards/*.json.

A dashboard is rows of panels; a panel is a title, a unit, what its lines mean, and queries with their legends. The JSON
is committed, since Grafana reads that; a test holds both together. Queries keep to what tests can run: no joins, no
subqueries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana" / "dashboards"
METRICS = {"type": "prometheus", "uid": "mimir"}
LOGS = {"type": "loki", "uid": "loki"}
PANEL_HEIGHT, GRID_WIDTH = 8, 24
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    meaning: str
    queries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    rows: Sequence[Sequence[Panel]]
    logs: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return what Grafana reads."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["cixml"],
            "schemaVersion": 41,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "utc",
            "templating": {"list": []},
            "annotations": {"list": [_alerts()]},
            "links": [
                {"type": "dashboards", "title": "cixml", "tags": ["cixml"], "asDropdown": True, "keepTime": True}
            ],
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[dict[str, Any]]:
        number = 0
        for line, row in enumerate(self.rows):
            width = GRID_WIDTH // len(row)
            for column, panel in enumerate(row):
                number += 1
                place = {"h": PANEL_HEIGHT, "w": width, "x": column * width, "y": line * PANEL_HEIGHT}
                yield _timeseries(number, place, panel)
        if self.logs:
            place = {"h": PANEL_HEIGHT, "w": GRID_WIDTH, "x": 0, "y": len(self.rows) * PANEL_HEIGHT}
            yield _logs(number + 1, place, self.logs)


def quantiles(metric: str, *, by: str = "", where: str = "", of: Sequence[float] = QUANTILES) -> list[tuple[str, str]]:
    """Return a query for each quantile of a histogram, over all or by a label."""
    labels, legend = (f"le, {by}", f" {{{{{by}}}}}") if by else ("le", "")
    return [
        (
            f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{where}[$__rate_interval])))",
            f"p{100 * q:g}{legend}",
        )
        for q in of
    ]


def rates(metric: str, *by: str, where: str = "") -> list[tuple[str, str]]:
    """Return the rate of a counter a second, by labels."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by) or "all"
    grouped = f"sum by ({', '.join(by)}) " if by else "sum"
    return [(f"{grouped}(rate({metric}{where}[$__rate_interval]))", legend)]


def states(metric: str, by: str = "", *, where: str = "", legend: str = "now") -> list[tuple[str, str]]:
    """Return a gauge of state: every API process tells the same, so it is their greatest."""
    return [(f"max by ({by}) ({metric}{where})", f"{{{{{by}}}}}")] if by else [(f"max({metric})", legend)]


def share(part: str, whole: str) -> str:
    """Return what share of a counter's events a part of them is."""
    return f"sum(rate({part}[$__rate_interval])) / sum(rate({whole}[$__rate_interval]))"


def _timeseries(number: int, place: dict[str, int], panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": METRICS, "expr": query, "legendFormat": legend, "exemplar": True}
        for index, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": METRICS,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 10}}, "overrides": []},
        "options": {"legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]}},
        "targets": targets,
    }


def _logs(number: int, place: dict[str, int], query: str) -> dict[str, Any]:
    return {
        "id": number,
        "type": "logs",
        "title": "Logs: warnings and errors",
        "description": "A line's trace_id leads to its trace.",
        "datasource": LOGS,
        "gridPos": place,
        "options": {"showTime": True, "enableLogDetails": True, "sortOrder": "Descending"},
        "targets": [{"refId": "A", "datasource": LOGS, "expr": query}],
    }


def _alerts() -> dict[str, Any]:
    return {
        "name": "alerts",
        "datasource": METRICS,
        "enable": True,
        "expr": 'ALERTS{alertname=~"Cixml.*",alertstate="firing"}',
        "titleFormat": "{{alertname}}",
    }


SEARCH_ROUTES = '{route=~"corpus_search|corpus_search_link|corpora_search"}'
WARNINGS = '{service_name=~"cixml.*"} | detected_level=~"warn|error|critical"'

OVERVIEW = Dashboard(
    "cixml-overview",
    "cixml: overview",
    (
        (
            Panel(
                "From submission to search",
                "s",
                "One small page on a warm stack: p50 0.35 s, p95 0.6 s.",
                quantiles("cixml_submit_to_searchable_seconds"),
            ),
            Panel(
                "Searches",
                "s",
                "Whole searches. The goal is a p99 below 0.2 s.",
                quantiles("cixml_search_duration_seconds", where='{phase="total"}'),
            ),
        ),
        (
            Panel("Requests", "reqps", "By how they were answered.", rates("cixml_requests_total", "status")),
            Panel(
                "Failed requests",
                "percentunit",
                "Share of requests, and of searches, that got 5xx.",
                [
                    (share('cixml_requests_total{status=~"5.."}', "cixml_requests_total"), "all"),
                    (
                        share(
                            'cixml_requests_total{route=~"corpus_search|corpus_search_link|corpora_search",status=~"5.."}',
                            f"cixml_requests_total{SEARCH_ROUTES}",
                        ),
                        "searches",
                    ),
                ],
            ),
            Panel("Jobs of the last day", "short", "By status.", states("cixml_jobs", "status")),
        ),
        (
            Panel(
                "Parts",
                "short",
                "1 answers, 0 does not.",
                [("min by (part) (cixml_up)", "{{part}}"), ("min by (job) (up)", "target {{job}}")],
            ),
            Panel(
                "Age of the oldest item",
                "s",
                "By the stage it waits for.",
                states("cixml_queue_oldest_seconds", "stage"),
            ),
            Panel(
                "Tokens embedded",
                "short",
                "Tokens a second, as the embedding server counts them.",
                rates("openai_tokens_used_total", "model", "operation"),
            ),
        ),
    ),
    logs=WARNINGS,
)

PIPELINE = Dashboard(
    "cixml-pipeline",
    "cixml: pipeline",
    (
        (
            Panel("Items waiting", "short", "By the stage they wait for.", states("cixml_queue_depth", "stage")),
            Panel("Items ended", "ops", "By outcome.", rates("cixml_items_total", "outcome")),
            Panel(
                "Dead letters",
                "ops",
                "Failed items by stage and code.",
                rates("cixml_items_total", "stage", "code", where='{outcome="failed"}'),
            ),
        ),
        (
            Panel(
                "Stages",
                "s",
                "Time of one stage of one batch.",
                quantiles("cixml_stage_duration_seconds", by="stage", of=(0.5, 0.95)),
            ),
            Panel(
                "Jobs",
                "s",
                "From submission to the end.",
                quantiles("cixml_job_duration_seconds", by="outcome", of=(0.5, 0.95)),
            ),
            Panel(
                "Fetches", "ops", "By outcome; 304 costs a site and us least.", rates("cixml_fetch_total", "outcome")
            ),
        ),
        (
            Panel("Chunks", "ops", "Cut, and what became of them.", rates("cixml_chunks_total", "change")),
            Panel(
                "Work",
                "short",
                "Batches that are not over, beside the runs that workers take at once.",
                [*states("cixml_batches", "state"), ("max(cixml_worker_slots)", "slots")],
            ),
            Panel(
                "Runs lost",
                "short",
                "Batches taken over from runs that died or hung; sites that pause.",
                [
                    ("sum(increase(cixml_rescued_total[$__rate_interval]))", "died"),
                    ("sum(increase(cixml_stalled_total[$__rate_interval]))", "hung"),
                    ("max(cixml_hosts_paused)", "sites paused"),
                ],
            ),
        ),
    ),
    logs=WARNINGS,
)

SEARCH = Dashboard(
    "cixml-search",
    "cixml: search",
    (
        (
            Panel(
                "By mode",
                "s",
                "p99 of whole searches.",
                quantiles("cixml_search_duration_seconds", by="mode", where='{phase="total"}', of=(0.99,)),
            ),
            Panel(
                "By phase",
                "s",
                "p95 of what a search consists of.",
                quantiles("cixml_search_duration_seconds", by="phase", of=(0.95,)),
            ),
        ),
        (
            Panel(
                "Searches a second",
                "reqps",
                "By answer.",
                rates("cixml_requests_total", "route", "status", where=SEARCH_ROUTES),
            ),
            Panel("Results", "short", "Hits in an answer.", quantiles("cixml_search_results", by="mode", of=(0.5,))),
            Panel(
                "Cache of query vectors",
                "ops",
                "A hit spares a request to the embedding server.",
                rates("cixml_embedding_cache_total", "result"),
            ),
        ),
        (
            Panel(
                "All routes",
                "s",
                "p99 from a request to the begin of its answer.",
                quantiles("cixml_request_duration_seconds", by="route", of=(0.99,)),
            ),
            Panel("Keys", "ops", "Requests by how their key was known.", rates("cixml_auth_total", "result")),
        ),
    ),
)

GPU = Dashboard(
    "cixml-gpu",
    "cixml: GPU and breaker",
    (
        (
            Panel("Breaker", "short", "0 closed, 1 half open, 2 open.", states("cixml_breaker_state", "dependency")),
            Panel("Errors", "ops", "Failed requests.", rates("cixml_embedding_errors_total", "operation", "code")),
        ),
        (
            Panel(
                "Time of a request",
                "s",
                "read embeds queries, write embeds pages.",
                quantiles("cixml_embedding_latency_seconds", by="operation", of=(0.5, 0.95)),
            ),
            Panel("Tokens", "short", "Tokens a second.", rates("openai_tokens_used_total", "model", "operation")),
        ),
        (
            Panel(
                "Texts in a request",
                "short",
                "Full batches keep a GPU busy.",
                quantiles("cixml_embedding_batch_size", by="operation", of=(0.5,)),
            ),
            Panel(
                "Waiting for it",
                "short",
                "Items that wait to be embedded.",
                states("cixml_queue_depth", "stage", where='{stage="embedding"}'),
            ),
        ),
    ),
    logs='{service_name=~"cixml.*"} |= "breaker"',
)

FAIRNESS = Dashboard(
    "cixml-fairness",
    "cixml: fairness",
    (
        (
            Panel(
                "Wait for the first run",
                "s",
                "From the accepted job until a run takes the item.",
                quantiles("cixml_fairshare_wait_seconds"),
            ),
            Panel(
                "Callers that wait",
                "short",
                "How many callers have items in the queue.",
                states("cixml_callers_waiting", legend="callers"),
            ),
        ),
        (
            Panel(
                "Share of the largest",
                "percentunit",
                "What one caller has of the items in work.",
                states("cixml_largest_share", legend="share"),
            ),
            Panel("Items in work", "short", "Under a lease.", states("cixml_items_in_work", legend="items")),
            Panel("Refused", "ops", "By the limit that refused.", rates("cixml_ratelimited_total", "policy")),
        ),
    ),
    logs='{service_name=~"cixml.*"} |= "quota"',
)

STORES = Dashboard(
    "cixml-stores",
    "cixml: Postgres, Redis and Dagster",
    (
        (
            Panel(
                "Dead rows", "short", "What vacuum has to clean, by table.", states("cixml_postgres_dead_rows", "table")
            ),
            Panel(
                "Oldest transaction",
                "s",
                "While it is open, nothing that died since is cleaned.",
                states("cixml_postgres_oldest_transaction_seconds", legend="age"),
            ),
            Panel(
                "Connections",
                "short",
                "Sessions, and how many there may be.",
                [
                    *states("cixml_postgres_connections", legend="open"),
                    *states("cixml_postgres_connections_limit", legend="limit"),
                ],
            ),
        ),
        (
            Panel("Databases", "bytes", "Size on disk.", states("cixml_postgres_database_bytes", "database")),
            Panel("Rows", "short", "By table.", states("cixml_postgres_rows", "table")),
            Panel(
                "Redis",
                "bytes",
                "Full, it takes no run and no limit.",
                [
                    *states("cixml_redis_memory_bytes", legend="used"),
                    *states("cixml_redis_memory_limit_bytes", legend="limit"),
                ],
            ),
        ),
        (
            Panel("Dagster's runs", "short", "That are not over.", states("cixml_dagster_runs", "status")),
            Panel(
                "Dagster's events", "short", "Rows of the event log.", states("cixml_dagster_event_rows", legend="rows")
            ),
            Panel("Heartbeats", "s", "Age of the last sign of life.", states("cixml_heartbeat_age_seconds", "part")),
        ),
        (
            Panel("Workers", "short", "Run slots by queue.", states("cixml_worker_slots", "queue")),
            Panel(
                "Deletions",
                "s",
                "Age of the oldest that is not done.",
                states("cixml_deletion_oldest_seconds", legend="oldest"),
            ),
            Panel(
                "Without Redis",
                "ops",
                "Decisions made in the process because Redis did not answer.",
                rates("cixml_redis_fallback_total", "part"),
            ),
        ),
    ),
)

DASHBOARDS = (OVERVIEW, PIPELINE, SEARCH, GPU, FAIRNESS, STORES)


def text(dashboard: Dashboard) -> str:
    return json.dumps(dashboard.as_json(), indent=2) + "\n"


if __name__ == "__main__":
    for each in DASHBOARDS:
        (FOLDER / f"{each.uid}.json").write_text(text(each), encoding="utf-8")
