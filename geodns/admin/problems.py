"""Refusals as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from geodns.core.guard import MAX_NAMES, NO_HEALTHY_REGION, NO_REGION, Refused, UnknownSubject
from geodns.core.verbs import Moved
from geodns.errors import GeodnsError, StoreError, printable

_TITLES = {
    "bad-body": "The body cannot be used",
    "bad-request": "The request cannot be used",
    "breaks-rule": "The change would break a rule",
    "body-too-large": "The body is too large",
    "busy": "Too many requests at once",
    "foreign-origin": "Requests from other sites are refused",
    "internal": "Something unexpected went wrong",
    "leaves-no-region": "The change would leave names without a region",
    "method-not-allowed": "The resource does not know this method",
    "no-such-resource": "There is no such resource",
    "overrides-moved": "The overrides have changed since",
    "state-not-written": "The state cannot be written",
    "too-slow": "The body took too long to arrive",
    "unauthorized": "A valid token is needed",
    "unknown-endpoint": "There is no such endpoint",
    "unknown-pool": "There is no such pool",
    "unknown-region": "There is no such region",
}


class ProblemError(Exception):
    """A refusal: its HTTP status, a stable code, one sentence for people, and what else is worth telling."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = printable(detail)
        self.headers = dict(headers or {})
        self.more = more

    def response(self) -> web.Response:
        body = {
            "type": f"urn:geodns:problem:{self.code}",
            "title": _TITLES[self.code],
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.more,
        }
        return web.Response(
            status=self.status,
            body=json.dumps(body, indent=2).encode() + b"\n",
            content_type="application/problem+json",
            headers=self.headers,
        )


def problem_of(error: GeodnsError) -> ProblemError:
    """The problem that an error of the server is to its client."""
    match error:
        case UnknownSubject():
            return ProblemError(404, f"unknown-{error.what}", str(error), known=list(error.known))
        case Moved():
            headers = {"ETag": f'"{error.tag}"'}
            return ProblemError(412, "overrides-moved", str(error), headers=headers, etag=error.tag)
        case Refused():
            return _refusal(error)
        case StoreError():
            return ProblemError(507, "state-not-written", str(error), full=error.full)
        case _:
            return ProblemError(400, "bad-request", str(error))


def _refusal(refused: Refused) -> ProblemError:
    broken = refused.broken
    alone = any(b.rule in (NO_REGION, NO_HEALTHY_REGION) for b in broken)
    return ProblemError(
        409,
        "leaves-no-region" if alone else "breaks-rule",
        str(refused),
        rules=[b._asdict() for b in broken],
        names=sorted({name for b in broken for name in b.names})[:MAX_NAMES],
    )


def problem_of_http(error: web.HTTPException, path: str) -> ProblemError:
    """The problem for what aiohttp itself refuses: routes, methods, sizes."""
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return ProblemError(
                405, "method-not-allowed", f"{path} knows {allowed}", headers={"Allow": allowed}
            )
        case web.HTTPNotFound():
            return ProblemError(404, "no-such-resource", f"there is nothing at {path[:200]}")
        case web.HTTPRequestEntityTooLarge():
            return ProblemError(413, "body-too-large", "the body is larger than this resource takes")
        case _:
            return ProblemError(error.status, "bad-request", error.reason or "the request cannot be used")
