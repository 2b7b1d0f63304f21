"""The first page."""

import time

from fastapi import APIRouter
from starlette.responses import Response

from console.page import Page
from console.pages.now.pictures import pictures
from console.pages.now.texts import TEXTS
from console.pages.now.wrong import what_is_wrong
from console.visit import Viewer, Visit
from deskbell.cli.doctor import beside_queues
from deskbell.queues.findings import Finding
from deskbell.queues.now import read_now
from deskbell.queues.refused import refused
from deskbell.queues.together import blocks, no_api

router = APIRouter()
PAGE = Page("now", "/", router, TEXTS, order=10)

_MOST = 30
"""Findings that the page shows."""


@router.get("/")
def show(visit: Viewer) -> Response:
    """What goes on now."""
    now = read_now(visit.state.redis, visit.settings)
    reads = [_look(visit, of_the_server=True), _look(visit, of_the_server=False)]
    others = [finding for found, _ in reads for finding in found]
    steps, since = visit.state.history.steps()
    wrong = what_is_wrong(now, [*no_api(now.apis), *refused(visit.state.redis), *blocks(visit.state.redis), *others])
    return visit.page(
        "now/now.html",
        now=now,
        paused={each.queue for each in now.paused},
        wrong=wrong[:_MOST],
        more=len(wrong) - _MOST,
        looked=min(at for _, at in reads),
        heard=max((each.age for each in now.apis if not each.has_ended), default=None),
        pictures=pictures(visit, now, steps),
        since=since,
    )


def _look(visit: Visit, *, of_the_server: bool) -> tuple[list[Finding], float]:
    """What they found last, and when; 0 before the first time."""

    def look(_: object) -> tuple[list[Finding], float]:
        return beside_queues(visit.settings, of_the_server=of_the_server), time.time()

    read = visit.state.doctor.get(of_the_server, look)
    return read.result or ([], 0.0)
