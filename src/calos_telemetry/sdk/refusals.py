"""403 in the words of each framework.  None is imported here: the one that answers the request is loaded already."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any, NoReturn

import msgspec

from calos_telemetry.errors import LicenseError
from calos_telemetry.sdk.license.attached import attached

Refusal = dict[str, Any]
_FORBIDDEN = 403
_JSON = "application/json"


def refuse(refusal: Refusal, arguments: Iterable[Any]) -> Any:
    """Return the response 403 of the framework that called a view with ``arguments``, or raise what it makes one of.

    Raises :class:`LicenseError` where no framework is found: a guarded function was called outside any request.
    """
    found = tuple(arguments)
    for framework in (_django, _flask, _quart, _litestar, _starlette):
        response = framework(refusal, found)
        if response is not None:
            return response
    if "starlette.exceptions" in sys.modules:
        refuse_dependency(refusal)
    raise LicenseError(f"{refusal['error']}: {refusal['to_do']}")


def refuse_dependency(refusal: Refusal) -> NoReturn:
    """Raise FastAPI's (Starlette's) own exception: a dependency cannot answer by itself."""
    from starlette.exceptions import HTTPException  # noqa: PLC0415 - only FastAPI comes here, and it is loaded

    raise HTTPException(_FORBIDDEN, detail=refusal)  # type: ignore[arg-type]  # FastAPI makes JSON of any detail


def _django(refusal: Refusal, arguments: tuple[Any, ...]) -> Any:
    django = sys.modules.get("django.http")
    if django is None or not _answers(django.HttpRequest, django.HttpRequest, arguments):
        return None
    return django.JsonResponse(refusal, status=_FORBIDDEN)


def _flask(refusal: Refusal, _arguments: tuple[Any, ...]) -> Any:
    return _from_context(sys.modules.get("flask"), refusal)


def _quart(refusal: Refusal, _arguments: tuple[Any, ...]) -> Any:
    return _from_context(sys.modules.get("quart"), refusal)


def _from_context(framework: ModuleType | None, refusal: Refusal) -> Any:
    if framework is None or not framework.has_request_context():
        return None
    return framework.Response(msgspec.json.encode(refusal), status=_FORBIDDEN, content_type=_JSON)


def _litestar(refusal: Refusal, arguments: tuple[Any, ...]) -> Any:
    litestar = sys.modules.get("litestar")
    if litestar is not None and _answers(litestar.Litestar, litestar.Request, arguments):
        raise litestar.exceptions.PermissionDeniedException(
            detail=refusal["error"], extra=refusal, headers={"Content-Type": _JSON}
        )


def _starlette(refusal: Refusal, arguments: tuple[Any, ...]) -> Any:
    applications, requests = sys.modules.get("starlette.applications"), sys.modules.get("starlette.requests")
    if applications is None or requests is None:
        return None
    if not _answers(applications.Starlette, requests.Request, arguments):
        return None
    return sys.modules["starlette.responses"].JSONResponse(refusal, status_code=_FORBIDDEN)


def _answers(application: type, request: type, arguments: tuple[Any, ...]) -> bool:
    """Say whether a framework answers: by the request it handed over, or by what it or our middleware left behind."""
    holder = attached.get() or {}
    return isinstance(holder.get("app"), application) or any(isinstance(one, request) for one in arguments)
