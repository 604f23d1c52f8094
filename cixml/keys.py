"""API keys in a file: the key is shown once, the file holds its HMAC. The API reads the file again when it changes."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cixml.embedded.files import locked, write_atomically
from cixml.embedded.state import Home, load_kept
from resources.errors import ConfigurationError
from resources.membership import KeyRecord, caller_id_of
from resources.settings import Settings
from resources.types import CallerType, Scope

LOCAL_NAME = "local"
_RECORDS = TypeAdapter(list[KeyRecord])


def create_key(
    path: Path,
    pepper: str,
    *,
    name: str,
    caller_type: CallerType = CallerType.SERVICE,
    is_operator: bool = False,
) -> str:
    """Add a key to the file and return it; it is stored nowhere. Raises ConfigurationError when the name is taken."""
    key = f"cixk_{secrets.token_urlsafe(32)}"
    with locked(path.with_suffix(".lock")):
        records = read_keys(path)
        if any(record.name == name for record in records):
            raise ConfigurationError(f"{path} has a key named {name!r}: choose another name, or remove that entry")
        now = datetime.now(UTC).replace(microsecond=0)
        made = KeyRecord(
            name=name,
            caller_id=caller_id_of(key, pepper),
            caller_type=caller_type,
            scopes=[Scope.CALLER, Scope.OPERATOR] if is_operator else [Scope.CALLER],
            created_at=now,
        )
        write_atomically(path, _RECORDS.dump_json([*records, made], indent=1).decode() + "\n")
    return key


def read_keys(path: Path) -> list[KeyRecord]:
    """Return the file's entries; none when there is no file."""
    if not path.exists():
        return []
    try:
        return _RECORDS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigurationError(f"{path} is no JSON list of keys: {error.error_count()} errors") from error


def key_store(home: Home, settings: Settings) -> tuple[Path, str]:
    """Return the key file and the pepper: the settings', else this state folder's own."""
    home.make_folders()
    pepper = settings.api.key_pepper
    return settings.api.keys_file or home.keys_file, pepper.get_secret_value() if pepper else load_kept(home).key_pepper


def local_key(home: Home, settings: Settings) -> str:
    """Return this machine's own key, made at first use and kept in the state folder (0600)."""
    path, pepper = key_store(home, settings)
    if home.local_key_file.exists():
        key = home.local_key_file.read_text(encoding="utf-8").strip()
        if any(record.caller_id == caller_id_of(key, pepper) for record in read_keys(path)):
            return key
    names = {record.name for record in read_keys(path)}
    name = LOCAL_NAME if LOCAL_NAME not in names else f"{LOCAL_NAME}-{secrets.token_hex(3)}"
    key = create_key(path, pepper, name=name, caller_type=CallerType.USER)
    write_atomically(home.local_key_file, key + "\n")
    return key
