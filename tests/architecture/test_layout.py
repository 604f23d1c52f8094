"""House rules that no linter knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from resources.settings import PROJECT_ROOT

PACKAGES = ("resources", "cixml_api", "cixml_assets", "sensors", "cixml")
MODULES = sorted(path for package in PACKAGES for path in (PROJECT_ROOT / package).rglob("*.py"))
QUERIES = sorted((PROJECT_ROOT / "resources" / "postgres" / "queries").glob("*.sql"))
ADRS = sorted((PROJECT_ROOT / "docs" / "adr").glob("[0-9]*.md"))
MAX_LINES = 500
DAGSTERS_OWN_SQL = "resources/orchestration/storage.py"  # a subclass of Dagster's storage, in its SQLAlchemy


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_fits_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_sql_is_executed_in_resources_postgres_alone(path: Path) -> None:
    if "resources/postgres" not in name_of(path) and name_of(path) != DAGSTERS_OWN_SQL:
        assert ".execute(" not in path.read_text()


@pytest.mark.parametrize("path", [path for path in MODULES if path.read_text().strip()], ids=name_of)
def test_a_module_says_what_it_owns(path: Path) -> None:
    assert path.read_text().startswith('"""')


@pytest.mark.parametrize("path", QUERIES, ids=name_of)
def test_a_query_file_holds_one_statement(path: Path) -> None:
    text = re.sub(r"--[^\n]*|'[^']*'", "", path.read_text()).strip()
    assert text
    assert ";" not in text.rstrip(";")


@pytest.mark.parametrize("path", QUERIES, ids=name_of)
def test_a_query_file_is_used(path: Path) -> None:
    used = "".join(module.read_text() for module in MODULES if "resources/postgres" in name_of(module))
    assert f'"{path.stem}"' in used


@pytest.mark.parametrize("path", ADRS, ids=name_of)
def test_a_decision_says_what_would_reopen_it(path: Path) -> None:
    text = path.read_text()
    for part in ("**Chosen.**", "**Alternatives.**", "**Revisit trigger.**"):
        assert part in text
