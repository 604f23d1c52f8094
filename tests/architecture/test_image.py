"""The image, as far as it can be known without an engine: hadolint, and every program started from what is copied."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from resources.settings import PROJECT_ROOT
from tests.image import DOCKERFILE, copied, let_through, replay

PROGRAMS = """
import importlib, json, pathlib, sys
from cixml_assets.definitions import defs
from resources.embedding.registry import load_registry
from resources.postgres.migrate import migration_files
from resources.settings import PROJECT_ROOT
names = ["cixml.main", "cixml_api.app", "cixml_api.__main__", "cixml.model_server", "cixml_assets.extractor",
         "resources.orchestration.worker", "resources.orchestration.lifeline", "resources.orchestration.migrate",
         "resources.orchestration.storage", "resources.orchestration.coordinator", "resources.orchestration.launcher"]
modules = [importlib.import_module(name) for name in names]
own = ("cixml", "cixml_api", "cixml_assets", "resources", "sensors")
mine = [module for name, module in sys.modules.items() if name.split(".")[0] in own]
print(json.dumps({
    "outside": [m.__name__ for m in mine if m.__file__ and not m.__file__.startswith(str(PROJECT_ROOT))],
    "root": str(PROJECT_ROOT),
    "models": [model.id for model in load_registry(PROJECT_ROOT / "models.toml").enabled],
    "migrations": len(migration_files()),
}))
"""


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_build_is_given_what_it_copies_and_nothing_else() -> None:
    assert {source for source, _ in copied()} == let_through()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    replay(folder)
    return folder


def test_every_program_starts_from_what_is_copied(image: Path) -> None:
    """The packages come from there too: an editable install would find the repository's, which is looked at last."""
    environment = {"PYTHONPATH": str(image), "DAGSTER_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS], cwd=image, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    migrations = list((PROJECT_ROOT / "resources" / "postgres" / "migrations").glob("*.sql"))
    assert told == {"outside": [], "root": str(image), "models": ["all-MiniLM-L6-v2"], "migrations": len(migrations)}


def test_it_is_one_interpreter_no_root_and_no_secret() -> None:
    text = DOCKERFILE.read_text()
    version = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.findall(r"^FROM (\S+)", text, re.M) == ["${PYTHON}", "${PYTHON}"]
    assert re.search(r"^ARG PYTHON=python:3\.11\.\d+-slim-bookworm$", text, re.M)
    assert re.findall(r"^USER (\S+)", text, re.M) == ["10001"]
    assert f'org.opencontainers.image.version="{version}"' in text
    assert not re.search(r"^(ARG|ENV) .*(PASSWORD|TOKEN|SECRET|PEPPER|_KEY)\b", text, re.M)
    assert all(
        "--require-hashes" in line for line in re.findall(r".*pip (?:install|sync).*", text) if "--editable" not in line
    )
