"""What goes wrong when the API is called."""

from __future__ import annotations

from collections.abc import Sequence

from cixml.client.base import Problem, ProblemField
from resources.errors import CixmlError, DependencyError


class ApiError(CixmlError):
    """The API refused the request: `status`, and its problem body where it sent one."""

    code = "api_refused"

    def __init__(
        self, message: str, *, status: int, problem: Problem | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds
        self.retryable = problem.retryable if problem else status in (429, 503)

    @property
    def error_code(self) -> str | None:
        """Return the stable code, as `cixml_job_create_104`."""
        return self.problem.error_code if self.problem else None

    @property
    def request_id(self) -> str | None:
        return self.problem.request_id if self.problem else None

    @property
    def fields(self) -> Sequence[ProblemField]:
        """Return each field that is wrong."""
        return self.problem.errors if self.problem else ()


class ApiUnavailableError(DependencyError):
    """The API does not answer."""

    code = "api_unavailable"
