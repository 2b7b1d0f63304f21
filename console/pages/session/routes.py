"""The page."""

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from console.page import Page
from console.pages.calls.typed import place_of
from console.pages.session.texts import TEXTS
from console.visit import Viewer
from deskbell.calls.filters import LONGEST, Filters
from deskbell.calls.masked import masked
from shared.sentences import sentence

router = APIRouter()
PAGE = Page("session", "/session", router, TEXTS)

MOST_SHOWN = 100


@router.get("/session")
def show(visit: Viewer, id: str = "") -> Response:  # noqa: A002 - the address' name
    """A session's callbacks, the first first."""
    if not 0 < len(id) <= LONGEST:
        wrong = sentence("id: expected a session's, 1 to {most} characters, got {got:,}", most=LONGEST, got=len(id))
        raise HTTPException(400, wrong)
    start = place_of(visit.request.query_params.get("from", ""))
    found = Filters(session=id).find(visit.state.redis, MOST_SHOWN, start=start)
    return visit.page(
        "session/session.html",
        session=id,
        found=found,
        calls=[masked(each) for each in reversed(found.calls)],
        rest=str(found.rest) if found.rest else "",
    )
