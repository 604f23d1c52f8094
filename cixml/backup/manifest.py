"""What a backup says of itself: where it comes from, what it needs, and how many rows it has to bring back."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ValidationError

from cixml.embedded.files import write_atomically
from resources.errors import CixmlError
from resources.postgres.backups import Migration

MANIFEST = "manifest.json"
SECRETS = "secrets.json"
KEYS = "keys.json"
MODELS = "models"
"""The folder of the models file, with the tokenizers where the file expects them."""


class BackupError(CixmlError):
    """A backup or a restore did not come to its end."""

    code = "backup"


class Manifest(BaseModel):
    """`rows` counts each table of both databases. `pepper_mark` tells a pepper from another and gives none away."""

    format: Literal[1] = 1
    made_at: AwareDatetime
    version: str
    owner: str
    server_version: int
    pgvector_version: str
    migrations: list[Migration]
    rows: dict[str, int]
    dagster_rows: dict[str, int]
    pepper_mark: str | None


class Secrets(BaseModel):
    """What a state folder made for itself and no caller is known without."""

    key_pepper: str
    local_key: str | None


def mark_of(pepper: str) -> str:
    return hmac.new(pepper.encode(), b"cixml backup", hashlib.sha256).hexdigest()[:16]


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest. Raises BackupError where there is none, or one of another format."""
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BackupError(
            f"{folder} is no backup, or one that did not come to its end: it has no {MANIFEST}"
        ) from error
    except OSError as error:
        raise BackupError(f"{path} can't be read: {error.strerror}") from error
    except ValidationError as error:
        raise BackupError(f"{path} is of another format: restore it with the version that made it") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    write_atomically(folder / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
