"""The Membership service's client: what is a caller, what is a refusal, and that all else is an outage."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from resources.errors import MembershipUnavailableError
from resources.membership.service import MembershipClient
from resources.types import CallerType
from tests.fakes.membership_server import MembershipServer


@pytest.fixture
def server() -> Iterator[MembershipServer]:
    with MembershipServer() as found:
        yield found


@pytest_asyncio.fixture
async def client(server: MembershipServer) -> AsyncIterator[MembershipClient]:
    found = MembershipClient(server.url + "/", timeout_seconds=0.5)
    yield found
    await found.aclose()


async def test_claims_are_read_and_unknown_fields_ignored(server: MembershipServer, client: MembershipClient) -> None:
    server.keys["secret"] = {
        "caller_type": "user", "tenant": "t1", "tier": "gold", "scopes": ["operator", "x"], "new": {"field": [1]},
    }  # fmt: skip
    claims = await client.ask("secret")
    assert claims
    caller = claims.of("c_1")
    assert (caller.caller_id, caller.caller_type, caller.tenant, caller.tier) == ("c_1", CallerType.USER, "t1", "gold")
    assert caller.scopes == {"caller", "operator", "x"}


@pytest.mark.parametrize("fields", [{}, {"caller_type": "robot", "tenant": None, "scopes": None}])
async def test_a_valid_key_is_a_caller_whatever_else_is_said(
    server: MembershipServer, client: MembershipClient, fields: dict[str, object]
) -> None:
    server.keys["secret"] = fields
    claims = await client.ask("secret")
    assert claims
    assert (claims.caller_type, claims.scopes) == (CallerType.UNKNOWN, {"caller"})


@pytest.mark.parametrize("refuses_with_200", [False, True])
async def test_401_and_not_valid_are_refusals(
    server: MembershipServer, client: MembershipClient, refuses_with_200: bool
) -> None:
    server.refuses_with_200 = refuses_with_200
    assert await client.ask("other") is None
    assert client.report().is_up


@pytest.mark.parametrize(
    "answer",
    [
        (500, b""), (503, b'{"valid": false}'), (403, b'{"valid": false}'), (404, b"{}"), (302, b""), (204, b""),
        (201, b'{"valid": true}'), (429, b""), (200, b""), (200, b"<html>sign in</html>"), (200, b"[]"), (200, b"null"),
        (200, b"{}"), (200, b'{"valid": "yes"}'), (200, b'{"valid": 1}'), (200, b'{"valid": null}'),
        (200, b'{"valid": true, "caller_type": 7}'), (200, b'{"valid": tr'), (200, b'\xff{"valid": true}'),
    ],
)  # fmt: skip
async def test_any_other_answer_is_an_outage_and_never_a_refusal(
    server: MembershipServer, client: MembershipClient, answer: tuple[int, bytes]
) -> None:
    server.keys["secret"] = {}
    server.broken = answer
    with pytest.raises(MembershipUnavailableError) as raised:
        await client.ask("secret")
    assert "secret" not in str(raised.value)
    assert (client.report().is_up, client.report().kind) == (False, "service")
    server.broken = None
    assert await client.ask("secret")
    assert client.report().is_up


async def test_silence_and_a_closed_port_are_outages(server: MembershipServer, client: MembershipClient) -> None:
    server.keys["secret"] = {}
    server.delay_seconds = 1.0
    with pytest.raises(MembershipUnavailableError, match="no answer in time"):
        await client.ask("secret")
    server.delay_seconds = 0
    server.stop()
    with pytest.raises(MembershipUnavailableError):
        await client.ask("secret")
    server.start()
    assert await client.ask("secret")


async def test_a_connection_that_was_closed_while_idle_is_no_outage(
    server: MembershipServer, client: MembershipClient
) -> None:
    server.keys["secret"] = {}
    assert await client.ask("secret")
    server.stop()
    server.start()
    assert await client.ask("secret")


async def test_the_fake_hears_the_key_in_the_body_alone(server: MembershipServer, client: MembershipClient) -> None:
    await client.ask('se"cret')
    assert server.asked == ['se"cret']
    assert json.dumps(server.keys) == "{}"
