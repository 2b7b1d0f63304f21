"""The first page."""

import time

from fastapi import APIRouter
from starlette.responses import Response

from console.page import Page
from console.pages.now.pictures import pictures
from console.pages.now.texts import TEXTS
from console.pages.now.wrong import what_is_wrong
from console.visit import Viewer
from deskbell.cli.doctor import beside_queues
from deskbell.queues.now import read_now
from deskbell.queues.together import blocks

router = APIRouter()
PAGE = Page("now", "/", router, TEXTS, order=10)

_MOST = 30
"""Findings that the page shows."""


@router.get("/")
def show(visit: Viewer) -> Response:
    """What goes on now."""
    now = read_now(visit.state.redis, visit.settings)
    read = visit.state.doctor.get("", lambda _: (beside_queues(visit.settings), time.time()))
    others, looked = read.result or ([], 0.0)
    steps, since = visit.state.history.steps()
    wrong = what_is_wrong(now, [*blocks(visit.state.redis), *others])
    return visit.page(
        "now/now.html",
        now=now,
        paused={each.queue for each in now.paused},
        wrong=wrong[:_MOST],
        more=len(wrong) - _MOST,
        looked=looked,
        pictures=pictures(visit, now, steps),
        since=since,
    )
