"""The names that callers of the first generation know, without /v1: the same endpoints, the same answers."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.routing import APIRoute

from cixml_api.routes import jobs

FIXED = (("POST", "/jobs", "/v1/jobs"), ("GET", "/jobs", "/v1/jobs"), ("GET", "/jobs/", "/v1/jobs"),
         ("GET", "/jobs/{job_id}", "/v1/jobs/{job_id}"))  # fmt: skip

router = APIRouter(tags=["jobs"])


def _route(method: str, path: str) -> APIRoute:
    return next(
        route
        for route in jobs.router.routes
        if isinstance(route, APIRoute) and route.path == path and method in (route.methods or ())
    )


for method, fixed, path in FIXED:
    route = _route(method, path)
    router.add_api_route(
        fixed,
        route.endpoint,
        methods=[method],
        # What is before the dot is the family of error codes: it is that of the route itself.
        operation_id=f"{route.operation_id}.fixed{'_slash' if fixed.endswith('/') else ''}",
        status_code=route.status_code,
        response_model=route.response_model,
        responses=route.responses,
        openapi_extra=route.openapi_extra,
        summary=f"{route.summary} (the name without /v1)",
    )
