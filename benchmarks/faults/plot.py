"""`python -m benchmarks.faults.plot DIR`: draw what a few queries of the dashboards answered while faults were staged.

The queries run on the scrapes of `python -m benchmarks.faults` by prombed, a subset of PromQL; the window is 30 s
instead of the dashboards' five minutes, since each fault lasts half a minute.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from matplotlib import pyplot
from prombed import Prombed

PANELS = (
    (
        "Time of a request to the embedding server, p95",
        "s",
        "histogram_quantile(0.95, sum by (le, operation) (rate(cixml_embedding_latency_seconds_bucket[30s])))",
    ),
    (
        "Time of a search, p95, by phase",
        "s",
        "histogram_quantile(0.95, sum by (le, phase) (rate(cixml_search_duration_seconds_bucket[30s])))",
    ),
    ("Items that left a stage, a second", "1/s", "sum by (outcome, code) (rate(cixml_items_total[30s]))"),
    ("Fetches, a second", "1/s", "sum by (outcome) (rate(cixml_fetch_total[30s]))"),
    ("Slots of workers that take runs", "slots", "max by (queue) (cixml_worker_slots)"),
    ("Batches taken over", "batches", "sum(increase(cixml_rescued_total[30s]))"),
    ("Items that wait", "items", "sum by (stage) (cixml_queue_depth)"),
    ("Share of the caller with the most waiting items", "", "max(cixml_largest_share)"),
)


def draw(folder: Path, target: Path) -> None:
    """Draw a panel for each query, the time of each fault shaded."""
    engine = Prombed(retention_ms=24 * 3_600_000, max_series=100_000)
    scrapes = [json.loads(line) for line in (folder / "scrapes.jsonl").read_text(encoding="utf-8").splitlines()]
    acts: dict[str, dict[str, Any]] = json.loads((folder / "acts.json").read_text(encoding="utf-8"))
    begin = scrapes[0]["at"]
    series: list[dict[str, list[tuple[float, float]]]] = [defaultdict(list) for _ in PANELS]
    for scrape in scrapes:
        at_ms = int(scrape["at"] * 1000)
        engine.ingest(scrape["text"], timestamp_ms=at_ms)
        for found, (_, _, query) in zip(series, PANELS, strict=True):
            for each in engine.query(query, at_ms)["data"]["result"]:
                label = " ".join(value for name, value in sorted(each["metric"].items()) if value)
                found[label].append((scrape["at"] - begin, float(each["value"][1])))
    figure, panels = pyplot.subplots(4, 2, figsize=(14, 13), sharex=True, constrained_layout=True)
    for axes, found, (title, unit, query) in zip(panels.flat, series, PANELS, strict=True):
        for label, points in sorted(found.items()):
            axes.plot(*zip(*points, strict=True), label=label or None)
        for name, act in acts.items():
            axes.axvspan(act["began"] - begin, act["ended"] - begin, alpha=0.1)
            label = name.replace("_", " ")
            axes.text(act["began"] - begin, 0.98, label, transform=axes.get_xaxis_transform(), fontsize=8, va="top")
        axes.set_title(title, pad=16)
        axes.set_ylabel(unit)
        axes.set_ylim(0, axes.get_ylim()[1] * 1.15)  # room for the names
        axes.text(0.5, 1.02, query, transform=axes.transAxes, fontsize=6.5, ha="center", family="monospace")
        axes.grid(alpha=0.3)
        if any(found):
            axes.legend(fontsize=7, loc="center right")
    for axes in panels[-1]:
        axes.set_xlabel("s")
    figure.savefig(target, dpi=70)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="what python -m benchmarks.faults wrote")
    parser.add_argument("--to", type=Path, default=Path("docs/images/faults.png"))
    options = parser.parse_args()
    draw(options.folder, options.to)
