"""`make plots`: draw the JSON of `python -m benchmarks.growth` as docs/images/growth.svg."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

Json = dict[str, Any]
_QUEUE = {
    "claim_ms": "claim for 16 slots",
    "post_job_ms": "POST a job",
    "get_job_ms": "GET a job",
    "list_jobs_by_status_ms": "list jobs by status",
    "list_items_by_status_ms": "list items by status",
    "health_ms": "/healthz",
}


def draw(result: Json, target: Path) -> None:
    """Draw the three parts side by side: p50 as a line, p95 (p99 for searches) as its upper edge."""
    mpl.rcParams["svg.hashsalt"] = "cixml"  # the same figures make the same file
    figure, (queue, corpora, chunks) = pyplot.subplots(1, 3, figsize=(13, 4), constrained_layout=True)
    for name, label in _QUEUE.items():
        _line(queue, result["queue"], "items", name, "p95", label)
    queue.set(title="While items wait", xlabel="items in the queue", ylabel="ms", yscale="log")
    _line(corpora, result["corpora"], "corpora", "submit_to_searchable_ms", "p95", "one page, submit to searchable")
    corpora.set(title="As corpora are made", xlabel="corpora (partitions)", ylabel="ms", ylim=(0, None))
    for kind, label in (("exact", "exact scan"), ("hnsw", "promoted: HNSW")):
        rows = [{"chunks": row["chunks"], "ms": row[kind]["ms"]} for row in result["chunks"]]
        _line(chunks, rows, "chunks", "ms", "p99", label)
    chunks.set(title="Search by 8 clients over HTTP", xlabel="chunks in the corpus", ylabel="ms", yscale="log")
    for axes in (queue, corpora, chunks):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(target, metadata={"Date": None})


def _line(axes: Axes, rows: Sequence[Mapping[str, Any]], size: str, name: str, upper: str, label: str) -> None:
    sizes = [row[size] for row in rows]
    middle = [row[name]["p50"] for row in rows]
    (line,) = axes.plot(sizes, middle, marker="o", label=label)
    axes.fill_between(sizes, middle, [row[name][upper] for row in rows], alpha=0.15, color=line.get_color())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("result", type=Path, help="what python -m benchmarks.growth printed")
    parser.add_argument("--to", type=Path, default=Path("docs/images/growth.svg"))
    options = parser.parse_args()
    draw(json.loads(options.result.read_text(encoding="utf-8")), options.to)
