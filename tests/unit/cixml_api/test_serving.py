"""The server around the app: whose word counts for the peer's address."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from cixml_api.__main__ import _server
from tests.fakes.valkey import free_port


async def say_peer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [([], "127.0.0.1"), (["192.0.2.1"], "127.0.0.1"), (["127.0.0.1"], "203.0.113.9"), (["127.0.0.0/8"], "203.0.113.9")],
)
async def test_a_forwarded_address_counts_from_trusted_proxies_alone(trusted: list[str], peer: str) -> None:
    port = free_port()
    server = _server(say_peer, "127.0.0.1", port, lifespan="off", trusted_proxies=trusted)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/", headers={"X-Forwarded-For": "203.0.113.9"})
        assert answer.text == peer
    finally:
        server.should_exit = True
        await serving
