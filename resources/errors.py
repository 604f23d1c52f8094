"""Every error the product raises on purpose. No library's exception leaves the module that owns the library.

    CixmlError
    ├── CallerError            the request is wrong; the caller mends it
    │   ├── InvalidUrlError
    │   ├── InvalidRequestError
    │   ├── NotFoundError
    │   ├── UnauthenticatedError
    │   ├── ForbiddenError
    │   ├── ConflictError
    │   ├── PreconditionFailedError
    │   ├── PreconditionRequiredError
    │   └── LimitError         429: says which policies, and when to come back
    │       ├── RateLimitedError
    │       ├── TooManyBadKeysError
    │       └── QuotaExceededError
    ├── DependencyError        something outside does not answer; retryable
    │   ├── DatabaseUnavailableError
    │   │   └── StorageFullError
    │   ├── CacheUnavailableError
    │   ├── MembershipUnavailableError
    │   ├── ExtractorUnavailableError
    │   └── EmbeddingUnavailableError
    │       ├── BreakerOpenError
    │       ├── EmbeddingThrottledError
    │       └── EmbeddingInvalidError
    ├── DocumentError          this page; carries the stage it failed in
    │   ├── ScrapingError      dns_failed, http_4xx, robots_disallowed, content_removed, ...
    │   ├── ChunkingError      empty_text, extraction_failed, encoding_failed, too_many_chunks
    │   └── EmbeddingRejectedError   context_too_long: this text, not the server
    ├── LeaseLostError         another attempt owns the batch now; nothing was written
    └── ConfigurationError     the deployment; names the setting or file to mend

A class's docstring is its default message. `code` is a contract with callers; `retryable` says whether
the same call may succeed later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from resources.types import RobotsVerdict, Stage


class CixmlError(Exception):
    """Something went wrong."""

    code: str = "internal"
    retryable: bool = False

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.message)

    def as_record(self) -> dict[str, object]:
        """Return the JSONB form that is stored with an item or a job."""
        return {"code": self.code, "retryable": self.retryable, "detail": self.message}


class CallerError(CixmlError):
    """The request can't be accepted as it is."""

    code = "invalid_request"


class InvalidRequestError(CallerError):
    """A field of the request is not valid."""

    code = "invalid_request"

    def __init__(self, message: str | None = None, *, pointer: str | None = None) -> None:
        super().__init__(message)
        self.pointer = pointer


class InvalidUrlError(InvalidRequestError):
    """The URL can't be fetched: give an absolute http or https URL."""

    code = "invalid_url"


class NotFoundError(CallerError):
    """There is no such thing for this caller."""

    code = "not_found"


class ConflictError(CallerError):
    """There is one already."""

    code = "conflict"


class PreconditionFailedError(CallerError):
    """It was changed meanwhile: read it again and send its ETag as 'If-Match'."""

    code = "precondition_failed"


class PreconditionRequiredError(CallerError):
    """This corpus is changed only with 'If-Match': read it and send its ETag."""

    code = "precondition_required"


class UnauthenticatedError(CallerError):
    """The API key is missing or unknown: send it as 'Authorization: Bearer KEY'."""

    code = "unauthenticated"


class ForbiddenError(CallerError):
    """This key may not do that: an operator's key is needed."""

    code = "forbidden"


class LimitError(CallerError):
    """A limit is reached. `policies` names it; without `retry_after_seconds` waiting alone does not help."""

    code = "limit_reached"

    def __init__(self, message: str, *, policies: Sequence[str], retry_after_seconds: float | None) -> None:
        super().__init__(message)
        self.policies = tuple(policies)
        self.retry_after_seconds = retry_after_seconds
        self.retryable = retry_after_seconds is not None


class RateLimitedError(LimitError):
    """Too many requests of this caller."""

    code = "rate_limited"


class TooManyBadKeysError(LimitError):
    """Too many unknown keys from this address."""

    code = "too_many_bad_keys"


class QuotaExceededError(LimitError):
    """The caller has as much as it may have."""

    code = "quota_exceeded"


class DependencyError(CixmlError):
    """Something the product needs does not answer."""

    code = "dependency_unavailable"
    retryable = True

    def __init__(self, message: str | None = None, *, retry_after_seconds: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DatabaseUnavailableError(DependencyError):
    """The database does not answer."""

    code = "database_unavailable"


class StorageFullError(DatabaseUnavailableError):
    """The database has no room left: what is stored can be read, and writing goes on by itself when there is room."""

    code = "storage_full"

    def __init__(self, message: str | None = None, *, retry_after_seconds: float = 30.0) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)


class CacheUnavailableError(DependencyError):
    """Redis does not answer."""

    code = "cache_unavailable"


class MembershipUnavailableError(DependencyError):
    """The identity of the caller can't be checked right now."""

    code = "membership_unavailable"


class ExtractorUnavailableError(DependencyError):
    """The extractor does not answer."""

    code = "extractor_unavailable"


class EmbeddingUnavailableError(DependencyError):
    """The embedding server does not answer."""

    code = "embedding_unavailable"


class BreakerOpenError(EmbeddingUnavailableError):
    """The circuit breaker of the embedding server is open."""

    code = "breaker_open"

    def __init__(
        self, message: str | None = None, *, retry_after_seconds: float = 5.0, outage_seconds: float = 0.0
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.outage_seconds = outage_seconds


class EmbeddingThrottledError(EmbeddingUnavailableError):
    """The embedding server asks to slow down."""

    code = "embedding_throttled"


class EmbeddingInvalidError(EmbeddingUnavailableError):
    """The embedding server's answer is not valid: wrong count, order, dimension, or not finite."""

    code = "embedding_invalid"


class DocumentError(CixmlError):
    """This page can't be indexed."""

    stage: ClassVar[Stage]

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


class ScrapingError(DocumentError):
    """The page can't be fetched."""

    stage = Stage.SCRAPING

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(code, message, retryable=retryable)
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds
        self.is_of_redirect = False
        """It came from another host than the page's own: what that one asks for binds this one to nothing."""
        self.robots: RobotsVerdict | None = None
        """What robots.txt says of the URL, where it was asked."""

    def as_record(self) -> dict[str, object]:
        return super().as_record() | {"http_status": self.http_status}


class HostPausedError(ScrapingError):
    """The host asked for a pause: nothing was asked of it, and no attempt is counted.

    An item fails with it only where the host asked for one pause after another, longer than an item waits.
    """

    def __init__(self, seconds: float) -> None:
        text = "the host asks for one pause after another (CIXML_FETCH__MAX_HOST_WAIT_SECONDS)"
        super().__init__("host_paused", text, retryable=True, retry_after_seconds=seconds)


class ChunkingError(DocumentError):
    """The page's text can't be read or cut."""

    stage = Stage.CHUNKING


class EmbeddingRejectedError(DocumentError):
    """The embedding server refuses this text."""

    stage = Stage.EMBEDDING


class LeaseLostError(CixmlError):
    """Another attempt owns this batch now: nothing was written."""

    code = "lease_lost"


class ConfigurationError(CixmlError):
    """The deployment is not configured right."""

    code = "configuration"
