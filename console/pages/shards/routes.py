"""The page, and the ways to a shard: the one that is chosen, and the one that an event is on."""

import re

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from console.forms import local_path
from console.page import Page
from console.pages.shards.texts import TEXTS
from console.pages.shards.together import rows, where_is
from console.state import State
from console.visit import Viewer, Visit
from deskbell.queues.shards import sums

router = APIRouter()
PAGE = Page("shards", "/shards", router, TEXTS)

_MOST = 30
"""Findings that the page shows, and shards that it names for each."""

_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_LONGEST = 64
_PAGES = ("/", "/calls", "/dead", "/queues", "/nodes", "/audit")
"""Of which another shard has the same; what is one letter, or one call, another shard does not know."""


@router.get("/shards")
def show(visit: Viewer) -> Response:
    """What goes on on all shards."""
    shown, wrong = rows(_above(visit))
    return visit.page(
        "shards/shards.html",
        rows=shown,
        total=sums([queue for each in shown if each.now for queue in each.now.queues]),
        away=[each for each in shown if each.is_away],
        wrong=list(wrong.items())[:_MOST],
        more=len(wrong) - _MOST,
        most=_MOST,
        home=shown[0].now,
        event="",
        problem="",
    )


@router.get("/shards/go")
def go(visit: Viewer, shard: str = "", to: str = "/") -> Response:
    """The same page of another shard."""
    shards = {str(each.shard) for each in _above(visit).shards}
    path = local_path(to)
    if shard not in shards:
        return visit.back("/")
    return visit.back(f"/shard/{shard}" + (path if path.partition("?")[0] in _PAGES else "/"))


@router.get("/shards/event")
def find(visit: Viewer, event: str = "") -> Response:
    """The call of an event, on whichever shard it is."""
    event_id = event.strip().lower()
    if not _EVENT_ID.fullmatch(event_id):
        return _not_found(visit, 400, event[:_LONGEST], visit.text("calls.wrong.event"))
    known, silent = where_is(_above(visit), event_id)
    if known:
        return visit.back(f"/shard/{known[0]}/call?id={event_id}")
    key = "shards.event.silent" if silent else "shards.event.none"
    return _not_found(visit, 404, event_id, visit.text(key, shards=", ".join(map(str, silent[:_MOST]))))


def _above(visit: Visit) -> State:
    if not visit.state.is_above:
        raise HTTPException(404)
    return visit.state


def _not_found(visit: Visit, status: int, event: str, problem: str) -> Response:
    return visit.page("shards/shards.html", status=status, event=event, problem=problem)
