"""How many Postgres connections a run opens, over the product's and Dagster's databases."""

from __future__ import annotations

import time

from benchmarks.errors import BenchmarkError
from benchmarks.product import Product
from benchmarks.servers import Site
from benchmarks.synthetic import Kind, path_of
from benchmarks.system import Json

RUNS = 10
_TIMEOUT_SECONDS = 60.0
_FIRST_PAGE = 1_000_000  # pages that no other figure uses
_FLUSH_SECONDS = 2.0  # a backend reports to pg_stat_database once a second at most, and at its end


def measure(product: Product, site: Site) -> Json:
    """Run jobs of one page after one another; what an idle stack opens meanwhile counts too."""
    time.sleep(_FLUSH_SECONDS)
    sessions, runs = product.rows.sessions(), product.rows.runs()
    for number in range(_FIRST_PAGE, _FIRST_PAGE + RUNS):
        url = site.url_of(path_of(Kind.TINY, number))
        product.run_job("connections", [url], poll_seconds=0.05, timeout_seconds=_TIMEOUT_SECONDS)
    time.sleep(_FLUSH_SECONDS)
    opened = {name: number - sessions[name] for name, number in product.rows.sessions().items()}
    if not (worked := product.rows.runs() - runs):
        raise BenchmarkError("no run was seen")
    return {"runs": worked, "opened": opened, "opened_a_run": round(sum(opened.values()) / worked, 2)}
