"""Makes a backup, beside whatever runs: both databases within milliseconds of one another, each at one moment."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from cixml.backup import tools
from cixml.backup.manifest import KEYS, MODELS, SECRETS, BackupError, Manifest, Secrets, mark_of, write_manifest
from cixml.backup.server import running_postgres
from cixml.backup.tools import Say
from cixml.embedded.files import write_atomically
from cixml.embedded.state import Home, load_kept
from resources.embedding.registry import load_registry
from resources.postgres import backups
from resources.settings import Settings

_PRIVATE = 0o700


def make_backup(home: Home, folder: Path, *, jobs: int, say: Say) -> Manifest:
    """Write a backup into a folder that is not there yet, or empty. Raises BackupError; then it is as it was."""
    was_there = _claim(folder)
    try:
        with running_postgres(home, say):
            settings = Settings.load()
            manifest = _dump(home, settings, folder, jobs=jobs, say=say)
        write_manifest(folder, manifest)
    except BaseException:
        _empty(folder, remove=not was_there)
        raise
    return manifest


def _claim(folder: Path) -> bool:
    """Make the folder; return whether it was there, empty."""
    try:
        folder.mkdir(mode=_PRIVATE, parents=True)
    except FileExistsError:
        if not folder.is_dir() or any(folder.iterdir()):
            raise BackupError(f"{folder} is there already: name a new folder for each backup") from None
        return True
    except OSError as error:
        raise BackupError(f"{folder} can't be made: {error.strerror}") from error
    return False


def _empty(folder: Path, *, remove: bool) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if remove:
        folder.rmdir()


def _dump(home: Home, settings: Settings, folder: Path, *, jobs: int, say: Say) -> Manifest:
    """Dump both. Dagster's moment comes second: a run it knows and our rows do not yet is closed as dead, at worst."""
    owner_url = settings.require(settings.database_url, "DATABASE_URL")
    dagster_url = settings.dagster_libpq_url()
    with backups.snapshot(owner_url) as rows, backups.snapshot(dagster_url) as dagster:
        server = backups.look(rows.connection)
        applied = backups.migrations(rows.connection)
        for url, name, schema, moment in (
            (owner_url, "cixml", backups.SCHEMA, rows),
            (dagster_url, "dagster", None, dagster),
        ):
            tools.dump(url, folder / name, schema=schema, snapshot=moment.name, jobs=jobs, say=say)
        say("the count of rows")
        _keep_files(home, settings, folder)
        return Manifest(
            made_at=datetime.now(UTC).replace(microsecond=0),
            version=version("cixml"),
            owner=server.owner,
            server_version=server.server_version,
            pgvector_version=server.pgvector_version or "",
            migrations=applied,
            rows=backups.count_rows(rows.connection, backups.SCHEMA),
            dagster_rows=backups.count_rows(dagster.connection, backups.DAGSTER_SCHEMA),
            pepper_mark=_pepper_mark(home, settings),
        )


def _pepper_mark(home: Home, settings: Settings) -> str | None:
    pepper = _pepper(home, settings)
    return mark_of(pepper) if pepper else None


def _pepper(home: Home, settings: Settings) -> str | None:
    if settings.api.key_pepper:
        return settings.api.key_pepper.get_secret_value()
    return load_kept(home).key_pepper if home.state_file.exists() else None


def _keep_files(home: Home, settings: Settings, folder: Path) -> None:
    """Copy the keys file, the models file with the tokenizers that lie under it, and what the state folder made."""
    keys_file = settings.api.keys_file or home.keys_file
    if keys_file.exists():
        write_atomically(folder / KEYS, keys_file.read_text(encoding="utf-8"))
    models_file = settings.embedding.models_file.resolve()
    tokenizers = [model.tokenizer_path for model in load_registry(models_file).enabled]
    for path in (models_file, *tokenizers):
        if path.is_relative_to(models_file.parent):
            copy = folder / MODELS / path.relative_to(models_file.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    pepper = _pepper(home, settings)
    if pepper and home.state_file.exists():
        local = home.local_key_file
        made = Secrets(
            key_pepper=pepper,
            local_key=local.read_text(encoding="utf-8").strip() if local.exists() else None,
        )
        write_atomically(folder / SECRETS, made.model_dump_json(indent=1) + "\n")
