"""What is shown when a page cannot be: nobody has signed in, the role is another, Redis is away, there is no page."""

from fastapi import FastAPI, HTTPException
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from console.rendering import shown
from console.visit import ForbiddenError, SignedOutError, Visit, visit_of
from shared.logs import get_log
from shared.redis.outages import answered, unreachable

_AGAIN_SECONDS = 3
_NOT_FOUND = 404
_NOT_ALLOWED = 405


def add_error_pages(app: FastAPI) -> None:
    """Let the app answer its exceptions."""
    app.add_exception_handler(SignedOutError, _signed_out)
    app.add_exception_handler(ForbiddenError, _forbidden)
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(RedisError, _away)
    app.add_exception_handler(OSError, _away)
    app.add_exception_handler(Exception, _defect)


def _signed_out(request: Request, _: Exception) -> Response:
    visit = visit_of(request)
    if visit.is_update:
        return PlainTextResponse(visit.text("error.signed_out"), 401)
    return RedirectResponse(visit.state.above("/sign-in", {"next": visit.whole_address}), 303)


def _forbidden(request: Request, _: Exception) -> Response:
    return _error(visit_of(request), 403, "error.forbidden")


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException | StarletteHTTPException)
    visit = visit_of(request)
    if error.status_code in (_NOT_FOUND, _NOT_ALLOWED):
        return _error(visit, error.status_code, "error.not_found")
    return _error(visit, error.status_code, "error.bad", reason=shown(visit.say(error.detail)))


def _away(request: Request, error: Exception) -> Response:
    visit = visit_of(request)
    reason, detail = visit.say(answered(error)), unreachable(error)
    if request.method == "POST":
        if reason:
            return _error(visit, 503, "error.refuses.action", reason=reason)
        return _error(visit, 503, "error.away.action", detail)
    response = (
        _error(visit, 503, "error.refuses", reason=reason) if reason else _error(visit, 503, "error.away", detail)
    )
    response.headers["Refresh"] = str(_AGAIN_SECONDS)
    return response


def _defect(request: Request, error: Exception) -> Response:
    get_log().error("console_failed", path=request.url.path[:100], error=error)
    return _error(visit_of(request), 500, "error.other")


def _error(visit: Visit, status: int, key: str, detail: str = "", **values: object) -> Response:
    sentence = visit.text(key, **values)
    if visit.is_update:
        return PlainTextResponse(sentence, status)
    return visit.page("error.html", status=status, sentence=sentence, detail=detail)
