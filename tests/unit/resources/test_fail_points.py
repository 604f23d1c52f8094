from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from resources import fail_points

REACH = (
    "import sys; from pathlib import Path; from resources import fail_points as f; f.watch({folder}); f.reach({name!r})"
)


def reached(folder: Path | None, name: str) -> int:
    watched = f"Path({str(folder)!r})" if folder else "None"
    return subprocess.run([sys.executable, "-c", REACH.format(folder=watched, name=name)], check=False).returncode


def test_an_armed_place_kills_the_first_process_that_reaches_it_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    assert [reached(tmp_path, "there"), reached(tmp_path, "here"), reached(tmp_path, "here")] == [0, -signal.SIGKILL, 0]


def test_without_a_folder_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").touch()
    monkeypatch.chdir(tmp_path)
    fail_points.reach("here")
    assert (tmp_path / "here").exists()
