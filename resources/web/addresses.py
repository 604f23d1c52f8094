"""Which addresses may be connected to. The ranges are data; names are resolved elsewhere (backend.py).

`ipaddress.is_global` is no policy: on Python 3.11 it calls 168.63.129.16, 224.0.0.1 and ::127.0.0.1 global.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from resources.errors import ScrapingError
from resources.settings import NamedNetwork

Address = IPv4Address | IPv6Address

# IANA IPv4 special-purpose registry, and what clouds use beside it.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network, RFC 791
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # shared address space, RFC 6598
        "127.0.0.0/8",  # loopback, RFC 1122
        "168.63.129.16/32",  # Azure's wire server, a public number with an inner service
        "169.254.0.0/16",  # link local and cloud metadata, RFC 3927
        "172.16.0.0/12",  # private, RFC 1918
        "192.0.0.0/24",  # protocol assignments, RFC 6890; 192.0.0.192 is Oracle's metadata
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.31.196.0/24",  # AS112, RFC 7535
        "192.52.193.0/24",  # AMT, RFC 7450
        "192.88.99.0/24",  # 6to4 relay, RFC 7526
        "192.168.0.0/16",  # private, RFC 1918
        "192.175.48.0/24",  # AS112, RFC 7534
        "198.18.0.0/15",  # benchmarking, RFC 2544
        "198.51.100.0/24",  # documentation, RFC 5737
        "203.0.113.0/24",  # documentation, RFC 5737
        "224.0.0.0/4",  # multicast, RFC 5771
        "240.0.0.0/4",  # reserved and broadcast, RFC 1112
    )
)

# IPv6: only global unicast may be public (RFC 4291 2.4), less these special ones of the IANA registry.
_GLOBAL_UNICAST_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, RFC 2928: Teredo, ORCHID, benchmarking
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, RFC 3056
        "2620:4f:8000::/48",  # AS112, RFC 7534
        "3fff::/20",  # documentation, RFC 9637
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291 2.5.5.2
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: how a network without IPv4 reaches public IPv4
_LOW_32_BITS = (
    IPv6Network("::/96"),  # IPv4-compatible, RFC 4291 2.5.5.1
    _MAPPED,
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated, RFC 2765
    _NAT64,
    IPv6Network("64:ff9b:1::/48"),  # local NAT64, RFC 8215
)

PUBLIC_PORTS = frozenset({80, 443})
LOOPBACK: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
# One text for every refused address: a caller must not learn what lies inside (open, closed, existing).
_REFUSAL = (
    "the address may not be fetched: public addresses on ports 80 and 443 only; "
    "an operator may allow a network with CIXML_FETCH__ALLOW_NETWORKS"
)


def refusal() -> ScrapingError:
    """Return the one error for an address that may not be connected to."""
    return ScrapingError("address_blocked", _REFUSAL)


def embedded_ipv4(address: Address) -> tuple[IPv4Address, ...]:
    """Return every IPv4 address that an IPv6 address carries: mapped, compatible, NAT64, 6to4, Teredo."""
    if isinstance(address, IPv4Address):
        return ()
    found = [inner for inner in (address.sixtofour, *(address.teredo or ())) if inner is not None]
    if any(address in network for network in _LOW_32_BITS):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(found)


def is_public(address: Address) -> bool:
    """Say whether an address is on the public internet, whatever it is wrapped in."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if not all(is_public(inner) for inner in embedded_ipv4(address)):
        return False
    if address in _MAPPED or address in _NAT64:
        return True
    return address in _GLOBAL_UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


class AddressPolicy:
    """What may be connected to: public addresses on web ports and allowed networks, never the product or the denied."""

    def __init__(
        self,
        allowed: Sequence[NamedNetwork],
        own_endpoints: frozenset[tuple[str, int]],
        *,
        denied: Sequence[NamedNetwork] = (),
    ) -> None:
        self._allowed = tuple(allowed)
        self._denied = tuple(denied)
        self.own_endpoints = frozenset((_bare(host), port) for host, port in own_endpoints)
        self._own: frozenset[tuple[Address, int]] = frozenset()
        self._own_any_address: frozenset[int] = frozenset()
        self.own_names = frozenset(
            host for host, _ in self.own_endpoints if host != "localhost" and _literal(host) is None
        )
        """The hosts of the product that are names: the backend resolves them and calls `learn`."""
        self.learn({})

    def learn(self, answers: dict[str, Sequence[Address]]) -> None:
        """Take the present addresses of the product's own names; the old ones are forgotten."""
        own = {
            (_plain(address), port)
            for host, port in self.own_endpoints
            for address in (*_known_addresses(host), *answers.get(host, ()))
        }
        self._own = frozenset(own)
        self._own_any_address = frozenset(port for address, port in own if address.is_unspecified)

    def check_name(self, host: str, port: int) -> None:
        """Refuse the product's own host names before they are resolved. Raises ScrapingError(address_blocked)."""
        if (_bare(host), port) in self.own_endpoints:
            raise refusal()

    def check(self, address: Address, port: int) -> None:
        """Refuse an address and port that may not be connected to. Raises ScrapingError(address_blocked)."""
        plain = _plain(address)
        for each in (plain, *embedded_ipv4(plain)):
            if (each, port) in self._own or any(network.holds(each, port) for network in self._denied):
                raise refusal()
        public = is_public(address)
        if not public and port in self._own_any_address:  # bound to every address of a machine that is not public
            raise refusal()
        if any(network.holds(plain, port) for network in self._allowed):
            return
        if not public or port not in PUBLIC_PORTS:
            raise refusal()


def _bare(host: str) -> str:
    return host.strip("[]").lower().removesuffix(".")


def _plain(address: Address) -> Address:
    """Return the IPv4 address that a mapped one stands for: a connection to either reaches the same socket."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))  # without a zone, which would make it another address


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _known_addresses(host: str) -> Iterable[Address]:
    if host == "localhost":
        return LOOPBACK
    literal = _literal(host)
    return () if literal is None else (literal,)
