"""Fixtures for every test: a real Postgres, started once, and a migrated copy per test. And what runs beside what."""

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.database import database, postgres_server
from tests.places import places
from tests.rows import owner, pipeline

__all__ = ["database", "owner", "pipeline", "places", "postgres_server"]

WHOLE_PRODUCT = Path(__file__).parent / "pipeline"
KILLS = ("test_kills.py",)
FAULTS = ("test_alerts.py", "test_drain.py", "test_outages.py", "test_stack.py")


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
    """Sends a file to one worker; of the whole product three groups of files, since a stack costs 25 s of a core."""

    def _split_scope(self, nodeid: str) -> str:
        path = PurePosixPath(nodeid.partition("::")[0])
        if path.parent.name != WHOLE_PRODUCT.name:
            return str(path)
        return next((group[0] for group in (KILLS, FAULTS) if path.name in group), str(path.parent))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those of the whole product begin first: they take the longest and mostly wait."""
    items.sort(key=lambda item: item.path.parent != WHOLE_PRODUCT)
