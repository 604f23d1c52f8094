"""Addresses: what is public, and what the policy lets through."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.errors import InvalidUrlError, ScrapingError
from resources.settings import NamedNetwork
from resources.web.addresses import AddressPolicy, embedded_ipv4, is_public
from resources.web.urls import parse_url

CASES = json.loads((Path(__file__).parents[3] / "data" / "url" / "ssrf_urls.json").read_text())
INNER = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.0.9", "168.63.129.16", "169.254.169.254",
    "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7",
    "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "100::1", "2001::1",
    "2001:db8::1", "2002:7f00:1::", "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1", "fd12::1", "fe80::1",
    "fec0::1", "ff02::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.215.14", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1",
    "64:ff9b::101:101",
]  # fmt: skip


@pytest.mark.parametrize("text", INNER)
def test_inner_address_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_address_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_spelling_is_accepted_or_refused(case: dict[str, object]) -> None:
    policy = AddressPolicy((), frozenset())
    try:
        url = parse_url(str(case["url"]))
        policy.check(ip_address(url.host), url.port)
    except (InvalidUrlError, ScrapingError):
        assert case["accept"] is False
    except ValueError:  # a name: resolved elsewhere
        assert case["accept"] is True
    else:
        assert case["accept"] is True


@settings(deadline=None)  # a busy machine is slow at times
@given(st.ip_addresses(v=4))
def test_wrapping_an_address_never_makes_it_public(inner: IPv4Address) -> None:
    number = int(inner)
    wrapped = [
        number,
        0xFFFF << 32 | number,
        0xFFFF << 48 | number,
        (0x64FF9B << 96) | number,
        0x2002 << 112 | number << 80,
    ]
    for each in map(IPv6Address, wrapped):
        assert inner in embedded_ipv4(each)
        assert is_public(inner) or not is_public(each)


def test_port_of_a_public_address_is_a_web_port() -> None:
    policy = AddressPolicy((NamedNetwork.parse("1.1.1.0/24:8080"),), frozenset())
    for address, port in (("1.1.1.1", 443), ("1.1.1.1", 8080), ("8.8.8.8", 80)):
        policy.check(ip_address(address), port)
    for address, port in (("1.1.1.1", 22), ("8.8.8.8", 8080)):
        with pytest.raises(ScrapingError):
            policy.check(ip_address(address), port)


def test_allowed_network_is_let_through_on_its_port_alone() -> None:
    policy = AddressPolicy((NamedNetwork.parse("127.0.0.1/32:8099"),), frozenset())
    policy.check(ip_address("127.0.0.1"), 8099)
    policy.check(ip_address("::ffff:127.0.0.1"), 8099)
    for address, port in (("127.0.0.1", 8098), ("127.0.0.2", 8099), ("::1", 8099)):
        with pytest.raises(ScrapingError):
            policy.check(ip_address(address), port)


@pytest.mark.parametrize("address", ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "10.1.2.3"])
def test_denied_network_is_refused_though_public_or_allowed(address: str) -> None:
    denied = [NamedNetwork.parse(text) for text in ("8.8.8.0/24", "10.1.0.0/16")]
    policy = AddressPolicy((NamedNetwork.parse("10.0.0.0/8"),), frozenset(), denied=denied)
    with pytest.raises(ScrapingError) as caught:
        policy.check(ip_address(address), 443)
    assert caught.value.code == "address_blocked"
    policy.check(ip_address("8.8.4.4"), 443)
    policy.check(ip_address("10.2.0.1"), 8080)


@pytest.mark.parametrize("own", ["127.0.0.1", "localhost", "0.0.0.0", "::"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_own_endpoint_is_refused_though_its_network_is_allowed(own: str, address: str) -> None:
    networks = [NamedNetwork.parse(text) for text in ("127.0.0.0/8", "::/0")]
    policy = AddressPolicy(networks, frozenset({(own, 5432)}))
    with pytest.raises(ScrapingError):
        policy.check(ip_address(address), 5432)
    policy.check(ip_address("127.0.0.1"), 8099)


def test_every_refusal_reads_the_same() -> None:
    policy = AddressPolicy((), frozenset({("127.0.0.1", 5432)}))
    errors = set()
    for address, port in (
        ("127.0.0.1", 5432),
        ("127.0.0.1", 80),
        ("10.0.0.1", 443),
        ("::1", 9),
        ("169.254.169.254", 80),
    ):
        with pytest.raises(ScrapingError) as caught:
            policy.check(ip_address(address), port)
        errors.add((caught.value.code, caught.value.message, caught.value.retryable))
    assert len(errors) == 1
    assert errors.pop()[0] == "address_blocked"
