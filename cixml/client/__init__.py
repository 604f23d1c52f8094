"""The REST API from Python, typed: `Client` and `AsyncClient` with the same methods.

`core` builds requests and reads answers, `types` are the answers, `errors` the refusals. `asynchronous` is written by
hand and `synchronous` made from it by `python cixml/client/generate.py`; a test holds them together.
"""

from cixml.client.asynchronous import AsyncClient
from cixml.client.core import KEEP
from cixml.client.errors import ApiError, ApiUnavailableError
from cixml.client.given import CrawlRules, Exclusions, PushedDocument, UrlEntry
from cixml.client.hits import CorporaSearchAnswer, HitLineage, SearchAnswer
from cixml.client.index_types import IndexVersionDetail
from cixml.client.synchronous import Client
from cixml.client.types import (
    Corpus,
    Document,
    Event,
    Item,
    Job,
    Receipt,
    UsageReport,
)

__all__ = [
    "KEEP",
    "ApiError",
    "ApiUnavailableError",
    "AsyncClient",
    "Client",
    "CorporaSearchAnswer",
    "Corpus",
    "CrawlRules",
    "Document",
    "Event",
    "Exclusions",
    "HitLineage",
    "IndexVersionDetail",
    "Item",
    "Job",
    "PushedDocument",
    "Receipt",
    "SearchAnswer",
    "UrlEntry",
    "UsageReport",
]
