"""The audit log."""

import math

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from console.page import Page
from console.pages.audit.texts import TEXTS
from console.visit import Viewer
from shared.sentences import sentence

router = APIRouter()
PAGE = Page("audit", "/audit", router, TEXTS, order=60)

_SEARCHED = 1000
_MOST = 100
_LONGEST = 200
ACTIONS = ("replay", "discard", "pause", "resume", "reveal", "forget", "acknowledge", "sign-in")


@router.get("/audit")
def show(visit: Viewer, by: str = "", action: str = "", which: str = "", before: str = "") -> Response:
    """The last entries, or those that a filter lets through."""
    asked = {"by": by[:_LONGEST], "action": action[:_LONGEST], "which": which[:_LONGEST]}
    latest = visit.state.audit.latest(_SEARCHED, _moment(before))
    found = [
        each
        for each in latest
        if asked["by"] in each.by and asked["action"] in ("", each.action) and asked["which"] in each.selection
    ]
    entries = found[:_MOST]
    is_more = len(found) > _MOST or len(latest) == _SEARCHED
    last = entries[-1] if len(found) > _MOST else latest[-1] if latest else None
    return visit.page(
        "audit/audit.html",
        asked=asked,
        actions=ACTIONS,
        entries=entries,
        found=len(found),
        searched=len(latest),
        oldest=latest[-1].began_at if latest else None,
        older=f"{last.began_at.timestamp():.6f}" if last and is_more else "",
        is_first=not before,
    )


def _moment(text: str) -> float:
    """A time in Unix seconds, as the address of the next page has it."""
    try:
        moment = float(text[:_LONGEST] or "inf")
    except ValueError:
        moment = math.nan
    if math.isnan(moment):
        raise HTTPException(400, sentence("before: expected Unix seconds, got {got!r}", got=text[:20]))
    return moment
