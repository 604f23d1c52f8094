"""Switches a model in models.toml and leaves its comments where they are. What it may hold is the registry's to say."""

from __future__ import annotations

import stat
from pathlib import Path

import tomlkit
from tomlkit.items import AoT, Table

from cixml.embedded.files import write_atomically
from resources.embedding.registry import load_registry
from resources.errors import ConfigurationError


def switch(path: Path, model_id: str, *, enabled: bool, tokenizer_sha256: str | None = None) -> bool:
    """Write `enabled` of a model, and its tokenizer's hash where that is given; return whether the file changed.

    The new text is read as the product will read it before it takes the old one's place. Raises ConfigurationError.
    """
    before = path.read_text(encoding="utf-8")
    document = tomlkit.parse(before)
    entry = _entry(document, path, model_id)
    if tokenizer_sha256 is not None:
        entry["tokenizer_sha256"] = tokenizer_sha256
    entry["enabled"] = enabled
    after = tomlkit.dumps(document)
    if after == before:
        return False
    _check(path, after)
    try:
        write_atomically(path, after, mode=stat.S_IMODE(path.stat().st_mode))
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be written ({error.strerror}): change 'enabled' there by hand"
        ) from error
    return True


def _entry(document: tomlkit.TOMLDocument, path: Path, model_id: str) -> Table:
    models = document.get("model")
    if isinstance(models, AoT):
        for table in models:
            if isinstance(table, Table) and table.get("id") == model_id:
                return table
    raise ConfigurationError(f"{path} has no [[model]] with id {model_id!r}")


def _check(path: Path, text: str) -> None:
    """Read a text as the models file: beside it, since tokenizers are relative to its folder."""
    trial = path.with_name(f".{path.name}.new")
    try:
        trial.write_text(text, encoding="utf-8")
        load_registry(trial)
    except OSError as error:
        raise ConfigurationError(f"{path.parent} can't be written to: {error.strerror}") from error
    finally:
        trial.unlink(missing_ok=True)
