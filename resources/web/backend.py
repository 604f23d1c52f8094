"""The network below HTTP: names are resolved once, every answer is checked, and only a checked number is dialled.

Nothing is ever dialled to find out: a refused address sees no packet. TLS still checks the name, because
httpcore takes SNI from the URL.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from ipaddress import ip_address

from httpcore import AsyncNetworkBackend, AsyncNetworkStream, ConnectError, ConnectTimeout
from httpcore._backends.base import SOCKET_OPTION  # the type of an argument; httpcore does not export it

from resources.errors import ScrapingError
from resources.web.addresses import Address, AddressPolicy
from resources.web.streams import connect

Resolver = Callable[[str], Awaitable[Sequence[str]]]

DNS_TIMEOUT_SECONDS = 5.0
DNS_THREADS = 64
"""getaddrinfo blocks, and goes on after our time-out for as long as the system itself waits (20 s and more): threads
enough for many names whose servers hang, so that other names are still looked up."""
OWN_NAMES_TTL_SECONDS = 60.0
MAX_ADDRESSES_TRIED = 4
MAX_ADDRESSES_CHECKED = 64  # a longer answer is refused: every address of an answer has to be looked at

# "No such name" and "no address of this name". The second is the GNU library's and Python does not list it everywhere.
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_log = logging.getLogger("cixml.fetch")

# True in a task whose last request had to open a connection: such a request lost no keep-alive race.
opened_connection: ContextVar[bool] = ContextVar("opened_connection", default=False)


class ThreadResolver:
    """The system's resolver in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=DNS_THREADS, thread_name_prefix="dns")

    async def __call__(self, host: str) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _lookup, host)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _lookup(host: str) -> Sequence[str]:
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class GuardedBackend(AsyncNetworkBackend):
    """An httpcore network backend that connects to nothing the policy refuses."""

    def __init__(self, policy: AddressPolicy, resolve: Resolver) -> None:
        self._policy = policy
        self._resolve = resolve
        self._own_names_known_until = 0.0
        self._own_answers: dict[str, Sequence[Address]] = {}
        self._learning = asyncio.Lock()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to a checked address. Raises ScrapingError (address_blocked, dns_failed) or httpcore's errors."""
        opened_connection.set(True)
        self._policy.check_name(host, port)
        addresses = await self._addresses(host)
        await self._learn_own_names()
        for address in addresses:
            self._policy.check(address, port)
        deadline = time.monotonic() + (timeout or 60.0)
        failure: ConnectError | ConnectTimeout | None = None
        for address in addresses[:MAX_ADDRESSES_TRIED]:
            try:
                left_seconds = max(0.1, deadline - time.monotonic())
                return await connect(str(address), port, timeout_seconds=left_seconds, local_address=local_address)
            except (ConnectError, ConnectTimeout) as error:
                failure = error
        raise failure or ConnectError("no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's signature
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        raise ConnectError("pages are not fetched from unix sockets")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str) -> list[Address]:
        try:
            return [ip_address(host)]
        except ValueError:
            pass  # a name
        try:
            async with asyncio.timeout(DNS_TIMEOUT_SECONDS):
                answers = await self._resolve(host)
        except TimeoutError as error:
            raise ScrapingError("dns_failed", "the name server did not answer in time", retryable=True) from error
        except (OSError, UnicodeError) as error:
            raise ScrapingError("dns_failed", "the host name can't be resolved", retryable=_may_pass(error)) from error
        addresses = list(dict.fromkeys(map(ip_address, answers)))
        if not 0 < len(addresses) <= MAX_ADDRESSES_CHECKED:
            raise ScrapingError("dns_failed", f"the host name has {len(addresses)} addresses", retryable=True)
        return addresses

    async def _learn_own_names(self) -> None:
        """Look up the product's own host names from time to time, so that they are refused by number too."""
        names = sorted(self._policy.own_names)
        if not names:
            return
        async with self._learning:  # nobody goes on before the first look-up has ended
            if time.monotonic() < self._own_names_known_until:
                return
            answers = await asyncio.gather(*map(self._own_addresses, names))
            self._own_answers = dict(zip(names, answers, strict=True))
            self._policy.learn(self._own_answers)
            self._own_names_known_until = time.monotonic() + OWN_NAMES_TTL_SECONDS

    async def _own_addresses(self, name: str) -> Sequence[Address]:
        try:
            return await self._addresses(name)
        except ScrapingError as error:
            _log.warning("the product's own host %s can't be looked up now: %s", name, error)
            return self._own_answers.get(name, ())


def _may_pass(error: OSError | UnicodeError) -> bool:
    """Say whether a look-up may succeed later. A name that does not exist, or can't, will not."""
    return isinstance(error, OSError) and error.errno not in _NO_SUCH_NAME
