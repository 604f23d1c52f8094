"""The console script, as far as it needs no server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from cixml import main
from cixml.output import _without_password
from resources.errors import ConfigurationError

FIELDS = {
    *("state", "api_url", "metrics_url", "dagster_url", "database_url", "redis_url", "embedding_url"),
    *("supervisor_pid", "processes"),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CIXML_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_status_of_a_new_folder_is_one_json_object_and_makes_no_file(home: Path) -> None:
    result = CliRunner().invoke(main.app, ["status", "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert set(found) == FIELDS
    assert (found["state"], found["supervisor_pid"], found["processes"]) == ("stopped", None, [])
    assert not home.exists()


def test_down_of_a_stopped_stack_succeeds(home: Path) -> None:
    assert CliRunner().invoke(main.app, ["down"]).exit_code == 0


def test_a_new_key_stands_alone_on_the_last_line(home: Path) -> None:
    result = CliRunner().invoke(main.app, ["keys", "create", "--name", "ci"])
    assert result.stdout.splitlines()[-1].startswith("cixk_")
    assert json.loads((home / "keys.json").read_text())[0]["name"] == "ci"


def test_an_unknown_process_is_refused(home: Path) -> None:
    result = CliRunner().invoke(main.app, ["up", "--only", "postgrez"])
    assert result.exit_code == 2


def commands(app: typer.Typer) -> list[list[str]]:
    """Return the words of every command and group."""

    def walk(command: click.Command, words: list[str]) -> Iterator[list[str]]:
        yield words
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, [*words, name])

    return list(walk(typer.main.get_command(app), []))


@pytest.mark.parametrize("command", commands(main.app), ids=" ".join)
def test_every_help_has_an_example_and_every_command_but_a_few_json(command: list[str]) -> None:
    shown = CliRunner().invoke(main.app, [*command, "--help"], env={"COLUMNS": "200"}).stdout
    if command in (["keys"], ["models"]):
        return
    assert "Example" in shown
    if command not in ([], ["up"], ["down"], ["migrate"], ["documents"], ["backup"], ["restore"]):
        assert "--json" in shown


def test_our_errors_are_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ConfigurationError("CIXML_X is wrong")

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit, match="1"):
        main.run()
    assert capsys.readouterr().err == "cixml: CIXML_X is wrong\n"


def test_no_password_gets_onto_the_screen() -> None:
    assert _without_password("redis://:secret@127.0.0.1:1/0") == "redis://:***@127.0.0.1:1/0"
    assert _without_password("http://127.0.0.1:1") == "http://127.0.0.1:1"
