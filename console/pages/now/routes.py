"""The first page."""

from fastapi import APIRouter
from starlette.responses import Response

from console.page import Page
from console.pages.now.pictures import pictures
from console.pages.now.texts import TEXTS
from console.pages.now.wrong import look
from console.visit import Viewer

router = APIRouter()
PAGE = Page("now", "/", router, TEXTS, order=10)

_MOST = 30
"""Findings that the page shows."""


@router.get("/")
def show(visit: Viewer) -> Response:
    """What goes on now."""
    found = look(visit.state)
    now, wrong = found.now, found.wrong
    steps, since = visit.state.history.steps()
    return visit.page(
        "now/now.html",
        now=now,
        paused={each.queue for each in now.paused},
        wrong=wrong[:_MOST],
        more=len(wrong) - _MOST,
        looked=found.looked,
        heard=max((each.age for each in now.apis if not each.has_ended), default=None),
        pictures=pictures(visit, now, steps),
        since=since,
    )
