"""docs/tutorial.md is run from its first command to its last, the play of two callers at its end included."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cixml import Client, keys
from cixml.sample.server import CORPUS, sample_urls, serving
from resources.settings import Settings
from tests.stack import OUTSIDE, Stack

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs/tutorial.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = ("indexes-intro.html", "indexes-types.html")
SECONDS = 300


def script() -> str:
    """Return the blocks as one script of bash, those of Python within it."""
    lines = ["set -euo pipefail"]
    for kind, text in BLOCK.findall(TUTORIAL.read_text(encoding="utf-8")):
        lines.append(text if kind == "sh" else f"python - <<'PYTHON'\n{text}PYTHON\n")
    return "\n".join(lines)


@pytest.mark.slow
def test_every_command_of_the_tutorial_works(stack: Stack) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = kept | {"CIXML_HOME": str(stack.home.root), "PATH": path, "PYTHONUNBUFFERED": "1"}
    key = keys.local_key(stack.home, Settings.load(home=stack.home.root))
    with serving(0) as port, Client(stack.url, key) as client:
        urls = [url for url in sample_urls(port) if url.endswith(PAGES)]
        assert client.jobs.wait(client.jobs.submit(CORPUS, urls).id, timeout_seconds=60).status == "succeeded"
        done = subprocess.run(
            ["bash", "-c", script()],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
    assert done.returncode == 0, done.stdout[-10_000:]
    for shown in ("still missing: exit code 1", "not there: exit code 1", "deletion: a document", "identity: "):
        assert shown in done.stdout, done.stdout[-10_000:]
