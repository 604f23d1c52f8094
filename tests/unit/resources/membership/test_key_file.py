"""Keys in a file: who is known, when a change counts, and that the key itself stays nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resources.errors import MembershipUnavailableError, UnauthenticatedError
from resources.membership import KeyFileMembership, caller_id_of
from resources.types import CallerType

PEPPER = "pepper"
HMAC = "c_804e6d854739162fdea0d455b3aafe67f40d2919406186a27be601596ac6d306"


def write(path: Path, *keys: str, caller_type: str = "user") -> None:
    records = [
        {
            "name": f"name of {number}",
            "caller_id": caller_id_of(key, PEPPER),
            "caller_type": caller_type,
            "created_at": "2026-11-24T00:00:00Z",
        }
        for number, key in enumerate(keys)
    ]
    path.write_text(json.dumps(records))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


async def test_a_key_of_the_file_is_its_caller(path: Path) -> None:
    write(path, "secret", caller_type="service")
    caller = await KeyFileMembership(path, pepper=PEPPER).authenticate("secret")
    assert caller.caller_id == caller_id_of("secret", PEPPER)
    assert caller.caller_type is CallerType.SERVICE


def test_a_caller_id_is_an_hmac_that_depends_on_the_pepper() -> None:
    assert caller_id_of("secret", PEPPER) == HMAC
    assert caller_id_of("secret", "other") != caller_id_of("secret", PEPPER)


@pytest.mark.parametrize("key", ["", "other", "secre", "secret ", "sécret", "x" * 1000])
async def test_any_other_key_is_refused(path: Path, key: str) -> None:
    write(path, "secret")
    with pytest.raises(UnauthenticatedError):
        await KeyFileMembership(path, pepper=PEPPER).authenticate(key)


async def test_a_new_key_is_valid_at_once_and_a_removed_one_no_longer(path: Path) -> None:
    membership = KeyFileMembership(path, pepper=PEPPER)
    with pytest.raises(UnauthenticatedError):
        await membership.authenticate("first")
    write(path, "first")
    await membership.authenticate("first")
    replacement = path.with_suffix(".new")
    write(replacement, "other")
    replacement.rename(path)
    await membership.authenticate("other")
    with pytest.raises(UnauthenticatedError):
        await membership.authenticate("first")


async def test_a_file_that_is_gone_knows_nobody(path: Path) -> None:
    write(path, "secret")
    membership = KeyFileMembership(path, pepper=PEPPER)
    await membership.authenticate("secret")
    path.unlink()
    with pytest.raises(UnauthenticatedError):
        await membership.authenticate("secret")


@pytest.mark.parametrize("content", ["", "{}", "[{}]", '[{"name": "x"}]'])
async def test_a_broken_file_is_no_reason_to_throw_a_key_away(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(MembershipUnavailableError):
        await KeyFileMembership(path, pepper=PEPPER).authenticate("secret")


async def test_neither_the_caller_nor_the_log_holds_the_key(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(path, "secret")
    membership = KeyFileMembership(path, pepper=PEPPER)
    caller = await membership.authenticate("secret")
    path.write_text("broken")
    with pytest.raises(MembershipUnavailableError):
        await membership.authenticate("secret")
    assert "secret" not in repr(caller) + caplog.text + path.read_text()


async def test_a_key_may_be_an_operators(path: Path) -> None:
    write(path, "secret")
    records = json.loads(path.read_text())
    path.write_text(json.dumps([records[0] | {"scopes": ["caller", "operator"]}]))
    caller = await KeyFileMembership(path, pepper=PEPPER).authenticate("secret")
    assert caller.scopes == {"caller", "operator"}


async def test_it_reports_a_file_that_cant_be_read_until_it_can(path: Path) -> None:
    membership = KeyFileMembership(path, pepper=PEPPER)
    path.write_text("broken")
    assert not await membership.is_known("secret")
    assert not membership.report().is_up
    write(path, "secret")
    assert await membership.is_known("secret")
    assert not await membership.is_known("other")
    assert membership.report().is_up
