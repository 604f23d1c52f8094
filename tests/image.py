"""What the image would hold, without an engine: the COPY lines of deploy/Dockerfile replayed into a folder."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from resources.settings import PROJECT_ROOT

DOCKERFILE = PROJECT_ROOT / "deploy" / "Dockerfile"


def copied() -> list[tuple[str, str]]:
    """Return source and target of everything that is copied from the repository."""
    found = []
    for line in _lines():
        words = shlex.split(line)
        if words[0] == "COPY" and not words[1].startswith("--from"):
            *sources, target = words[1:]
            found += [(source, f"{target}/{source}" if target.endswith("/") else target) for source in sources]
    return found


def _lines() -> list[str]:
    """Return the instructions, continued lines joined."""
    text = "\n".join(line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#"))
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def let_through() -> set[str]:
    """Return the names that .dockerignore lets through; it begins by refusing everything."""
    lines = (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    return {rule[1:] for rule in rules if rule.startswith("!")}


def replay(folder: Path) -> None:
    """Copy what the builder copies; a source that is missing raises."""
    for source, target in copied():
        path = PROJECT_ROOT / source
        if path.is_dir():
            shutil.copytree(path, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, folder / target)
