"""Keys in a file that knows only their HMAC."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cixml import keys
from cixml.embedded.state import Home
from resources.errors import ConfigurationError
from resources.membership import KeyFileMembership
from resources.settings import Settings
from resources.types import CallerType

PEPPER = "pepper"


async def test_the_api_accepts_a_key_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    membership = KeyFileMembership(path, pepper=PEPPER)
    first = keys.create_key(path, PEPPER, name="first")
    assert (await membership.authenticate(first)).caller_type is CallerType.SERVICE
    second = keys.create_key(path, PEPPER, name="second", caller_type=CallerType.USER)
    assert (await membership.authenticate(second)).caller_type is CallerType.USER


def test_the_file_is_private_and_does_not_hold_the_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = keys.create_key(path, PEPPER, name="ci")
    assert key.startswith("cixk_")
    assert len(key) >= 37
    assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_is_given_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys.create_key(path, PEPPER, name="ci")
    with pytest.raises(ConfigurationError, match="'ci'"):
        keys.create_key(path, PEPPER, name="ci")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"no": "list"}')
    with pytest.raises(ConfigurationError, match=r"keys\.json"):
        keys.read_keys(path)


def test_the_local_key_is_made_once_and_again_when_the_file_was_emptied(tmp_path: Path) -> None:
    home = Home(tmp_path)
    settings = Settings.load(api={"keys_file": home.keys_file, "key_pepper": PEPPER})
    first = keys.local_key(home, settings)
    assert keys.local_key(home, settings) == first
    assert stat.S_IMODE(home.local_key_file.stat().st_mode) == 0o600
    home.keys_file.unlink()
    assert keys.local_key(home, settings) != first


async def test_a_key_may_be_an_operators(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    plain = keys.create_key(path, PEPPER, name="plain")
    operator = keys.create_key(path, PEPPER, name="operator", is_operator=True)
    membership = KeyFileMembership(path, pepper=PEPPER)
    assert (await membership.authenticate(plain)).scopes == {"caller"}
    assert (await membership.authenticate(operator)).scopes == {"caller", "operator"}
