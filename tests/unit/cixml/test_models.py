"""`cixml models`: what is checked before a model is enabled, and what becomes of the models file."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cixml import main
from cixml.models_file import switch
from resources.embedding.registry import load_registry
from resources.errors import ConfigurationError
from resources.settings import PROJECT_ROOT
from tests.fakes.embedding_server import EmbeddingServer

TOKENIZER = PROJECT_ROOT / "cixml/model/tokenizer.json"
MODEL = "bge-m3"


@pytest.fixture
def models_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped models file in a folder of its own, with the tokenizer of the one enabled model."""
    path = tmp_path / "deployment" / "models.toml"
    bundled = path.parent / "cixml/model/tokenizer.json"
    bundled.parent.mkdir(parents=True)
    shutil.copyfile(TOKENIZER, bundled)
    shutil.copyfile(PROJECT_ROOT / "models.toml", path)
    monkeypatch.setenv("CIXML_EMBEDDING__MODELS_FILE", str(path))
    monkeypatch.setenv("CIXML_HOME", str(tmp_path / "home"))
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    with EmbeddingServer(dimension=1024, models=(MODEL,), tokenizer=str(TOKENIZER)) as running:
        monkeypatch.setenv("EMBEDDING_API_BASE_URL", running.base_url)
        yield running


def cixml(*arguments: str, code: int = 0) -> Result:
    """Run a command; an error of ours is shown by `main.run`, here it is the result's exception."""
    result = CliRunner().invoke(main.app, ["models", *arguments])
    assert result.exit_code == code, result.output
    if code == 1:
        assert isinstance(result.exception, ConfigurationError)
    return result


def give_tokenizer(models_file: Path) -> Path:
    """Put a tokenizer where the model's belongs."""
    path = models_file.parent / f"tokenizers/{MODEL}.json"
    path.parent.mkdir()
    shutil.copyfile(TOKENIZER, path)
    return path


def test_models_are_listed_with_what_they_lack(models_file: Path) -> None:
    found = {entry["id"]: entry for entry in json.loads(cixml("list", "--json").stdout)}
    assert len(found) == 4
    assert (found["all-MiniLM-L6-v2"]["enabled"], found["all-MiniLM-L6-v2"]["tokenizer_state"]) == (True, "ok")
    assert found["all-MiniLM-L6-v2"]["default"]
    assert (found[MODEL]["enabled"], found[MODEL]["tokenizer_state"], found[MODEL]["fingerprint"]) == (
        *(False, "missing"),
        None,
    )
    assert found[MODEL]["corpora"] is None
    shown = cixml("list").output
    assert "e5-mistral-7b-instruct" in shown
    assert "4,096" in shown


def test_enabling_writes_the_hash_and_keeps_every_comment(models_file: Path, server: EmbeddingServer) -> None:
    give_tokenizer(models_file)
    before = models_file.read_text()
    found = json.loads(cixml("enable", MODEL, "--json").stdout)
    assert (found["enabled"], found["changed"], found["restarted"]) == (True, True, False)
    model = load_registry(models_file).get(MODEL)
    assert model.enabled
    assert model.is_known_whole
    assert model.fingerprint == found["fingerprint"]
    after = models_file.read_text()
    assert [line for line in before.splitlines() if "#" in line] == [line for line in after.splitlines() if "#" in line]
    assert sum(a != b for a, b in zip(tomllib.loads(before)["model"], tomllib.loads(after)["model"], strict=True)) == 1
    assert "no stack runs here" in cixml("enable", MODEL).output
    assert models_file.read_text() == after


def test_a_missing_tokenizer_is_answered_with_what_to_fetch(models_file: Path, server: EmbeddingServer) -> None:
    said = str(cixml("enable", MODEL, code=1).exception)
    assert f"curl -fL {load_registry(models_file).get(MODEL).tokenizer_source} -o " in said
    assert f"{models_file.parent}/tokenizers/{MODEL}.json" in said
    assert server.stats.requests == 0


def test_another_tokenizer_than_the_one_set_up_is_refused(models_file: Path, server: EmbeddingServer) -> None:
    path = give_tokenizer(models_file)
    cixml("enable", MODEL)
    switch(models_file, MODEL, enabled=False)
    path.write_text(path.read_text() + "\n")
    assert "was set up with another file" in str(cixml("enable", MODEL, code=1).exception)


def test_what_is_no_tokenizer_is_refused(models_file: Path, server: EmbeddingServer) -> None:
    give_tokenizer(models_file).write_text("{}")
    assert "is no tokenizer.json" in str(cixml("enable", MODEL, code=1).exception)


def test_a_server_that_does_not_serve_the_model_is_named_with_what_it_serves(
    models_file: Path, server: EmbeddingServer
) -> None:
    give_tokenizer(models_file)
    server.models = ("another",)
    said = str(cixml("enable", MODEL, code=1).exception)
    assert f"{server.base_url} serves another, not 'bge-m3'" in said
    assert "--served-model-name bge-m3" in said
    assert not load_registry(models_file).get(MODEL).enabled


def test_vectors_of_another_size_are_refused(models_file: Path, server: EmbeddingServer) -> None:
    give_tokenizer(models_file)
    server.dimension = 768
    assert "vectors have 768 numbers, not 1024" in str(cixml("enable", MODEL, code=1).exception)


def test_a_server_that_does_not_answer_is_named(models_file: Path, server: EmbeddingServer) -> None:
    give_tokenizer(models_file)
    server.go_down()
    assert f"the server at {server.base_url} can't embed by bge-m3" in str(cixml("enable", MODEL, code=1).exception)


def test_a_server_that_counts_other_tokens_is_told(models_file: Path, server: EmbeddingServer) -> None:
    give_tokenizer(models_file)
    assert "take care" not in cixml("enable", MODEL).output
    server._count = len
    assert "take care" in cixml("enable", MODEL).output


def test_a_model_of_its_own_server_is_asked_there(models_file: Path, server: EmbeddingServer) -> None:
    give_tokenizer(models_file)
    with EmbeddingServer(dimension=1024, models=(MODEL,)) as own:
        text = models_file.read_text().replace(f'id = "{MODEL}"', f'id = "{MODEL}"\nbase_url = "{own.base_url}"')
        models_file.write_text(text)
        cixml("enable", MODEL)
        assert (own.stats.requests, server.stats.requests) == (1, 0)


def test_the_default_and_what_nobody_can_tell_the_use_of_are_not_disabled(models_file: Path) -> None:
    assert "set EMBEDDING_MODEL to another" in str(cixml("disable", "all-MiniLM-L6-v2", code=1).exception)
    assert "nobody knows what the model serves" in str(cixml("disable", MODEL, code=1).exception)
    assert "it has: all-MiniLM-L6-v2" in str(cixml("disable", "none", code=1).exception)


def test_a_switch_that_would_break_the_file_is_not_made(models_file: Path) -> None:
    before = models_file.read_text()
    with pytest.raises(ConfigurationError, match=r"tokenizer .* can't be read"):
        switch(models_file, MODEL, enabled=True, tokenizer_sha256="0" * 64)
    assert models_file.read_text() == before
    assert [path.name for path in models_file.parent.iterdir() if path.name.startswith(".")] == []
