"""The first page."""

from fastapi import APIRouter
from starlette.responses import Response

from console.page import Page
from console.pages.now.texts import TEXTS
from console.visit import Viewer
from deskbell.queues.now import read_now

router = APIRouter()
PAGE = Page("now", "/", router, TEXTS, order=10)


@router.get("/")
def show(visit: Viewer) -> Response:
    """What goes on now."""
    now = read_now(visit.state.redis, visit.settings)
    return visit.page("now/now.html", now=now)
