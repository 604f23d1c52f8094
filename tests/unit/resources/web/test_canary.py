"""No way leads inside: a server that must see no connection, not even one without a request."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from resources.errors import CixmlError, InvalidUrlError, ScrapingError
from resources.web.fetcher import Fetcher
from tests.fakes.web_server import Page, WebServer
from tests.unit.resources.web.conftest import MakeFetcher

CASES = json.loads((Path(__file__).parents[3] / "data" / "url" / "ssrf_urls.json").read_text())
LOOPBACK_SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7F.1", "017700000001",
    "0177.0.0.1", "0177.0x0.0.1", "00000177.1", "127.0.0.1.", "127.1.", "0", "0.0.0.0", "0x0", "127%2e0%2e0%2e1",
    "%31%32%37.0.0.1", "127。0。0。1", "127｡0．0.1", "①②⑦.⓪.⓪.①", "１２７.0.0.1", "localhost", "LocalHost",
    "localhost.",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:FFFF:7F00:0001]",
    "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]", "[2002:7f00:1::1]", "[2001:0:7f00:1::]", "[2001::80ff:fffe]", "[fe80::1]", "[fe80::1%25lo]",
    "[::1%25lo]", "[::1%lo]", "[fec0::1]", "[fd00::1]", "[ff02::1]", "169.254.169.254", "[::ffff:a9fe:a9fe]",
    "[fd00:ec2::254]", "168.63.129.16", "192.0.0.192", "100.100.100.200", "user@127.0.0.1", "example.com@127.0.0.1",
    "user:pw@localhost", "127.0.0.1\\@example.com", "127.0.0.1#@example.com", "127.0.0.1?@example.com",
    "\t127.0.0.1", "127.\n0.0.1", "inner.test", "mixed.test", "INNER.test.", "six.test", "zone.test", "in­ner.test",
]  # fmt: skip
NAMES = {
    "localhost": ["::1", "127.0.0.1"],
    "localhost.": ["127.0.0.1"],
    "inner.test": ["127.0.0.1"],
    "inner.test.": ["127.0.0.1"],
    "mixed.test": ["93.184.215.14", "127.0.0.1"],
    "six.test": ["2606:4700::1111", "::1"],
    "zone.test": ["::1%lo"],
}


@pytest.fixture
def canary() -> Iterator[WebServer]:
    """On every address of this machine, IPv4 and IPv6."""
    with WebServer({"/": Page("<p>secret</p>")}, host="::" if socket.has_dualstack_ipv6() else "0.0.0.0") as started:
        yield started


async def refusals(fetcher: Fetcher, urls: Sequence[str]) -> set[tuple[str, str]]:
    """Return the codes and texts that the URLs are refused with. Anything but a refusal is raised."""
    answers = await asyncio.gather(*map(fetcher.fetch, urls), return_exceptions=True)
    for url, answer in zip(urls, answers, strict=True):
        assert isinstance(answer, InvalidUrlError | ScrapingError), f"{url}: {answer!r}"
    return {(answer.code, answer.message) for answer in answers if isinstance(answer, CixmlError)}


async def test_no_spelling_reaches_an_inner_address(canary: WebServer, make_fetcher: MakeFetcher) -> None:
    fetcher = make_fetcher(names=NAMES, allow_networks=[])
    hosts = [(host, f"{host}:{canary.port}") for host in LOOPBACK_SPELLINGS]
    urls = [f"http://{with_port}/" for _, with_port in hosts] + [f"https://{host}/" for host, _ in hosts]
    urls += [case["url"] for case in CASES if not case["accept"]]
    found = await refusals(fetcher, urls)
    assert canary.connections == 0
    assert {code for code, _ in found} == {"invalid_url", "address_blocked"}
    assert [code for code, _ in found].count("address_blocked") == 1  # one text for all of them


async def test_no_redirect_reaches_an_inner_address(
    canary: WebServer, server: WebServer, make_fetcher: MakeFetcher
) -> None:
    fetcher = make_fetcher(names=NAMES, host_concurrency=100)
    targets = [f"//{host}:{canary.port}/" for host in LOOPBACK_SPELLINGS if host.isascii() and host.isprintable()]
    targets += [case["url"] for case in CASES if not case["accept"]] + [f"http:\\\\127.1:{canary.port}/"]
    for number, target in enumerate(targets):
        server.pages[f"/{number}"] = Page("", status=302, headers={"Location": target})
    found = await refusals(fetcher, [f"{server.url}/{number}" for number in range(len(targets))])
    assert canary.connections == 0
    assert {code for code, _ in found} == {"redirect_blocked", "address_blocked"}


async def test_name_that_changes_its_address_is_checked_at_each_connection(
    canary: WebServer, server: WebServer, make_fetcher: MakeFetcher
) -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]  # only the first is allowed; the canary listens on both
    looked_up = 0

    async def resolve(host: str) -> Sequence[str]:
        nonlocal looked_up
        looked_up += 1
        return answers[min(looked_up, 2) - 1]

    fetcher = make_fetcher(resolve=resolve, allow_networks=[f"127.0.0.1/32:{server.port}"])
    server.pages |= {
        "/robots.txt": Page("", "text/plain", headers={"Connection": "close"}),
        "/a": Page("<p>a</p>"),
    }
    with pytest.raises(ScrapingError) as caught:
        await fetcher.fetch(f"http://rebound.test:{server.port}/a")
    assert caught.value.code == "address_blocked"
    assert looked_up == 2
    assert server.paths == []
    assert canary.connections == 0


async def test_own_host_is_known_before_the_first_page_is_fetched(server: WebServer, make_fetcher: MakeFetcher) -> None:
    own_known = asyncio.Event()

    async def resolve(host: str) -> Sequence[str]:
        if host == "db.internal":
            await own_known.wait()
        return ["127.0.0.1"]

    fetcher = make_fetcher(resolve=resolve, own_endpoints=frozenset({("DB.internal.", server.port)}))
    urls = [f"http://{name}.test:{server.port}/" for name in ("a", "b", "c")] + [f"{server.url}/"]
    tasks = [asyncio.create_task(fetcher.fetch(url)) for url in urls]
    done, _ = await asyncio.wait(tasks, timeout=0.1)
    assert not done
    own_known.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {getattr(result, "code", None) for result in results} == {"address_blocked"}
    assert server.connections == 0


async def test_own_host_is_remembered_while_its_name_can_not_be_looked_up(
    server: WebServer, make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.web.backend.OWN_NAMES_TTL_SECONDS", 0.0)
    is_up = True

    async def resolve(host: str) -> Sequence[str]:
        if host == "db.internal" and not is_up:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return ["127.0.0.1"]

    fetcher = make_fetcher(resolve=resolve, own_endpoints=frozenset({("db.internal", server.port)}))
    for name in ("first", "second"):
        with pytest.raises(ScrapingError) as caught:
            await fetcher.fetch(f"http://{name}.test:{server.port}/")
        assert caught.value.code == "address_blocked"
        is_up = False
    assert server.connections == 0
