"""Product against yardstick: the same figures of one measurement, and their ratios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Row:
    label: str
    path: str


_ROWS = (
    _Row("one page: submit to searchable p50, ms", "one_page.submit_to_searchable_ms.p50"),
    _Row("one page: submit to searchable p95, ms", "one_page.submit_to_searchable_ms.p95"),
    _Row("one page: CPU a job, gaps included, ms", "one_page.cpu_gaps_included.ms_each_all"),
    _Row("bulk: wall, s", "bulk.wall_s"),
    _Row("bulk: pages/s", "bulk.pages_a_s"),
    _Row("bulk: GPU busy share", "bulk.embedding_server.busy_share"),
    _Row("bulk: CPU a page, ms", "bulk.cpu.ms_each_all"),
    _Row("bulk: CPU a page, index built after included, ms", "bulk.cpu_with_index.ms_each_all"),
    _Row("bulk: requests at the embedding server", "bulk.embedding_server.requests"),
    _Row("bulk: chunks", "bulk.chunks"),
    _Row("memory: peak PSS of all processes, MB", "memory.stack"),
    _Row("search: 8 clients p50, ms", "search.ms.p50"),
    _Row("search: 8 clients p99, ms", "search.ms.p99"),
    _Row("search: CPU each, ms", "search.cpu.ms_each_all"),
    _Row("again: wall, s", "again.wall_s"),
    _Row("again: CPU a page, ms", "again.cpu.ms_each_all"),
    _Row("again: fetches", "again.site.fetches"),
    _Row("again: answered 304", "again.site.304"),
    _Row("again: texts embedded", "again.texts_at_embedding_server"),
    _Row("tiny jobs a minute", "tiny_jobs.jobs_a_minute"),
)


def compare(product: Json, yardstick: Json) -> list[Json]:
    """Return a row for each figure that both have; no ratio to a figure that is 0."""
    rows: list[Json] = []
    for row in _ROWS:
        ours, theirs = _find(product, row.path), _find(yardstick, row.path)
        if ours is not None and theirs is not None:
            ratio = round(ours / theirs, 3) if theirs else None
            rows.append({"figure": row.label, "product": ours, "yardstick": theirs, "ratio": ratio})
    return rows


def _find(figures: Json, path: str) -> float | None:
    found: Any = figures
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, int | float) else None


def table(rows: list[Json]) -> str:
    """Return the rows as lines of text."""
    width = max((len(row["figure"]) for row in rows), default=0)
    lines = [f"{'':{width}}  {'product':>10}  {'yardstick':>10}  {'ratio':>7}"]
    for row in rows:
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(f"{row['figure']:{width}}  {row['product']:>10}  {row['yardstick']:>10}  {ratio:>7}")
    return "\n".join(lines)
