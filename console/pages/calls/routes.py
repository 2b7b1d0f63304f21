"""The page, and the stream of those that come."""

import re
from typing import Any

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from console.page import Page
from console.pages.calls.follow import START, follow
from console.pages.calls.texts import TEXTS
from console.pages.calls.typed import ZONE, as_query, filters_of, place_of
from console.streams import Stream
from console.visit import Viewer
from deskbell.calls.filters import LONGEST, OUTCOMES, Filters, WrongFilterError
from deskbell.calls.masked import masked
from shared.records.query import newest
from shared.wire.commands import COMMANDS

router = APIRouter()
PAGE = Page("calls", "/calls", router, TEXTS, order=20, also=("/call", "/session"))

MOST_SHOWN = 50
MOST_LOOKED_AT = 20_000
"""Records that a page looks at: it is to be there in 300 ms, and says how to look further."""

_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_PLACE = re.compile(r"[0-9]{1,15}/[0-9]{1,15}-[0-9]{1,15}")


@router.get("/calls")
def show(visit: Viewer) -> Response:
    """The callbacks that fit; an event's id leads to its own page."""
    query = visit.request.query_params
    event_id = query.get("event", "").strip().lower()
    if _EVENT_ID.fullmatch(event_id):
        return visit.back(f"/call?id={event_id}")
    filters = filters_of(visit.request)
    try:
        filters.check()
    except WrongFilterError as error:
        return _page(visit, filters, status=400, wrong=error)
    if event_id:
        return _page(visit, filters, status=400, event=event_id[:LONGEST])
    redis = visit.state.redis
    start = place_of(query.get("from", ""))
    place = newest(redis) or START
    found = filters.find(redis, MOST_SHOWN, zone=ZONE, most=MOST_LOOKED_AT, start=start)
    is_live = filters.is_open and start is None and visit.interval > 0
    stream = visit.url("/calls/stream", **as_query(filters), after=place) if is_live else ""
    return _page(
        visit,
        filters,
        found=found,
        calls=[masked(each) for each in found.calls],
        stream=stream,
        room=visit.state.streams.has_room,
        rest=str(found.rest) if found.rest else "",
    )


@router.get("/calls/stream")
def stream(visit: Viewer, after: str = "") -> Response:
    """Callbacks as they are recorded, behind a place."""
    filters = filters_of(visit.request)
    try:
        filters.check()
    except WrongFilterError as error:
        raise HTTPException(400, str(error)) from None
    place = visit.request.headers.get("last-event-id", "") or after
    newest_place = newest(visit.state.redis)  # asked for in any case: while Redis is away no stream begins
    if not _PLACE.fullmatch(place):
        place = newest_place or START
    return Stream(visit.state.streams, follow(visit, filters, place))


def _page(visit: Viewer, filters: Filters, *, status: int = 200, **given: Any) -> Response:
    values = {"found": None, "calls": [], "stream": "", "room": True, "rest": "", "wrong": None, "event": ""} | given
    typed = as_query(filters)
    lists = {"outcomes": OUTCOMES, "commands": COMMANDS}
    return visit.page("calls/calls.html", status=status, typed=typed, most_shown=MOST_SHOWN, **lists, **values)
