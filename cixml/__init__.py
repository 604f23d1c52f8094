"""cixml for people: the Python client (`cixml.Client`, `cixml.AsyncClient`), the console, the embedded stack.

The client's names are imported when they are first used: the stack's processes import this package, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cixml.client import (
        ApiError,
        ApiUnavailableError,
        AsyncClient,
        Client,
        CrawlRules,
        Exclusions,
        PushedDocument,
        UrlEntry,
    )

__all__ = [
    "ApiError",
    "ApiUnavailableError",
    "AsyncClient",
    "Client",
    "CrawlRules",
    "Exclusions",
    "PushedDocument",
    "UrlEntry",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'cixml' has no attribute {name!r}")
    import cixml.client

    found: object = getattr(cixml.client, name)
    return found
