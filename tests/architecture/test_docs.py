"""What the documentation names is there: files, headings, metrics, tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from resources.settings import PROJECT_ROOT

PAGES = [PROJECT_ROOT / "README.md", PROJECT_ROOT / "CHANGELOG.md", *sorted((PROJECT_ROOT / "docs").rglob("*.md"))]


def headings(page: Path) -> set[str]:
    """The anchors of a page, as a browser of the repository makes them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or target.suffix != ".md" or anchor in headings(target), link


def test_metrics_that_the_documentation_names_are_counted() -> None:
    sources = [path for folder in ("resources", "cixml_api") for path in (PROJECT_ROOT / folder).rglob("*.py")]
    code = "".join(path.read_text() for path in sources)
    named = {
        name
        for page in ("operations.md", "runbook.md", "investigations.md")
        for name in re.findall(r"`(cixml_[a-z_]+|openai_[a-z_]+)[{` ]", (PROJECT_ROOT / "docs" / page).read_text())
    } - {"cixml_dagster"}  # the database
    assert len(named) > 30
    missing = {name for name in named if name not in code and name.removesuffix("_total") not in code}
    assert not missing


def test_tests_that_the_runbook_names_exist() -> None:
    tests = "".join(path.read_text() + path.stem for path in (PROJECT_ROOT / "tests").rglob("test_*.py"))
    text = (PROJECT_ROOT / "docs" / "runbook.md").read_text()
    named = re.findall(r"\btest_[a-z_]+", text) + re.findall(r"`([a-z0-9_]+)\.\.\.`", text)
    assert named
    assert [name for name in named if name not in tests] == []
