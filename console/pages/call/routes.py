"""The page, and the revealing of what is personal."""

import re

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from console.forms import Fields
from console.page import Page
from console.pages.call.texts import TEXTS
from console.pages.call.timeline import MOST_STEPS, steps
from console.visit import Admin, Viewer, Visit
from deskbell.calls.jobs import FANNED_OUT, jobs_now
from deskbell.calls.masked import has_personal_values, masked
from shared.records.query import read_story
from shared.sentences import sentence

router = APIRouter()
PAGE = Page("call", "/call", router, TEXTS)

_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_FOUND, _NOT_FOUND = 200, 404
_MOST_JOBS = 50


@router.get("/call")
def show(visit: Viewer, id: str = "") -> Response:  # noqa: A002 - the address' name
    """All about one event."""
    return _page(visit, _checked(id), reveals=False)


@router.post("/call/reveal")
def reveal(visit: Admin, fields: Fields) -> Response:
    """The same with the values that are personal, as far as they are on record; the audit log has it before."""
    event_id = _checked(fields.get("id", ""))
    visit.state.audit.note("reveal", f"event {event_id}", visit.by, "done")
    return _page(visit, event_id, reveals=True)


def _checked(event_id: str) -> str:
    if not _EVENT_ID.fullmatch(event_id):
        wrong = sentence("id: expected an event's, 32 hex digits, got {got!r}", got=event_id[:40])
        raise HTTPException(400, wrong)
    return event_id


def _page(visit: Visit, event_id: str, *, reveals: bool) -> Response:
    redis = visit.state.redis
    story = read_story(redis, event_id)
    jobs = jobs_now(redis, event_id, dict.fromkeys(each.job for each in story.attempts))
    call, has_more = story.call, bool(story.call and has_personal_values(story.call))
    if call and not reveals:
        call = masked(call)
    there, found = {each.job for each in jobs}, steps(story)
    return visit.page(
        "call/call.html",
        status=_FOUND if call or jobs or found else _NOT_FOUND,
        event_id=event_id,
        call=call,
        reveals=reveals,
        has_more=has_more,
        steps=found[:MOST_STEPS],
        step_count=len(found),
        jobs=jobs[:_MOST_JOBS],
        job_count=len(jobs),
        gone=[each for each in dict.fromkeys(each.job for each in story.attempts) if each not in there][:_MOST_JOBS],
        fanned_out=FANNED_OUT,
    )
