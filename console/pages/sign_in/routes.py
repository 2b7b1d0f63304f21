"""Signs in with name and password; what fails is recorded, and throttled."""

from fastapi import APIRouter
from starlette.responses import Response

from console.access.passwords import TooManyAtOnceError, is_password
from console.forms import Fields, local_path
from console.page import Page
from console.pages.sign_in.texts import TEXTS
from console.visit import Anybody, Visit

router = APIRouter()
PAGE = Page("sign_in", "/sign-in", router, TEXTS)

_LONGEST_PASSWORD = 1000
_LONGEST_NAME = 64
_BUSY_SECONDS = 5


@router.get("/sign-in")
def show(visit: Anybody, next: str = "/") -> Response:  # noqa: A002 - as it stands in the address
    """The form; where nobody signs in, the first page."""
    to = local_path(next)
    sessions = visit.state.sessions
    if not sessions.are_needed or (visit.user and not sessions.has_ended(visit.request)):
        return visit.back(to)
    return visit.page("sign_in/sign_in.html", next=to, problem="")


@router.post("/sign-in")
def sign_in(visit: Anybody, fields: Fields) -> Response:
    """Sign in."""
    name, password, to = fields.get("name", ""), fields.get("password", ""), local_path(fields.get("next", "/"))
    address = visit.request.client.host if visit.request.client else ""
    throttle, users = visit.state.sessions.throttle, visit.settings.console_users
    if not users:
        return visit.back(to)
    if seconds := throttle.begin(name[:_LONGEST_NAME], address):
        return _wait(visit, to, seconds)
    user = users.get(name)
    checked = user or next(iter(users.values()))  # for a name that nobody has it takes as long
    try:
        is_right = is_password(password[:_LONGEST_PASSWORD], checked.password.get_secret_value()) and user is not None
    except TooManyAtOnceError:
        throttle.withdraw(name[:_LONGEST_NAME], address)
        return _wait(visit, to, _BUSY_SECONDS)
    if not is_right:
        visit.state.refusals.record("sign-in", f"from {address}", f"{name if user else 'somebody'} (console)")
        return visit.page("sign_in/sign_in.html", status=401, next=to, problem=visit.text("sign_in.wrong"))
    throttle.succeed(name[:_LONGEST_NAME], address)
    response = visit.back(to)
    visit.state.sessions.sign_in(response, name)
    return response


@router.post("/sign-out")
def sign_out(visit: Anybody) -> Response:
    """Sign out."""
    response = visit.back("/sign-in")
    visit.state.sessions.sign_out(visit.request, response)
    return response


def _wait(visit: Visit, to: str, seconds: int) -> Response:
    problem = visit.text("sign_in.wait", seconds=seconds)
    response = visit.page("sign_in/sign_in.html", status=429, next=to, problem=problem)
    response.headers["Retry-After"] = str(seconds)
    return response
