"""Builds the graph of an index version that does not serve yet, and asks it whether it finds what is near."""

from __future__ import annotations

import dagster as dg

from resources.orchestration import progress
from resources.orchestration.lease import Lease
from resources.postgres import promotions, recall
from resources.postgres.batches import IndexVersion
from resources.postgres.recall import MIN_RECALL, Recall


def build_graph(lease: Lease, index: IndexVersion, *, rows: int, dimension: int) -> Recall:
    """Build it over what the relation holds, and ask it. What comes later goes in row by row."""
    with progress.waiting(), lease.transaction() as connection:
        promotions.build(connection, index=index, rows=rows, dimension=dimension)
    with progress.waiting(), lease.transaction() as connection:
        found = recall.tune(connection, index=index, dimension=dimension)
    if not found.is_enough:
        raise dg.Failure(
            f"the graph finds {found.recall:.3f} of the ten nearest, {MIN_RECALL} is asked for: "
            "the corpus stays where it is"
        )
    return found
