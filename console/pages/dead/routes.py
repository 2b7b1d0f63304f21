"""What dead letters there are: all of them by cause, a group, and one."""

import json
from itertools import islice

from fastapi import HTTPException
from starlette.responses import Response

from console.forms import Fields
from console.page import Page
from console.pages.dead.actions import router
from console.pages.dead.asked import Asked, chosen, offered
from console.pages.dead.texts import TEXTS
from console.reads import Read
from console.visit import Admin, Viewer, Visit
from deskbell.dead_letters.overview import Overview, read_overview
from deskbell.dead_letters.plan import ACTIONS
from workers.audit import AuditEntry
from workers.dead_letters.details import Details, masked_details, read_details
from workers.dead_letters.registry import DeadLetters, Selection

PAGE = Page("dead", "/dead", router, TEXTS, order=30)

_MOST_GROUPS = 100
_MOST_LETTERS = 50
_MOST_LINES = 400
_LATELY = 50  # entries of the audit log that are looked through for runs
_MOST_RUNS = 5
_LONGEST = 200
_ALL = Selection()
_UNKNOWN = "UnknownJobError"
_SPANS = ("15m", "1h", "8h", "1d", "7d", "30d")


@router.get("/dead")
def show(visit: Viewer, asked: Asked) -> Response:
    """All dead letters by cause, or those that a filter lets through."""
    choice = chosen(asked)
    read = _overview(visit, choice, tuple(asked.values())) if choice.asks_events else _overview(visit)
    groups = read.result.groups if read.result else []
    let_through = [(each, number) for each in groups if (number := each.chosen(choice))]
    return visit.page(
        "dead/dead.html",
        read=read,
        asked=asked,
        meant=asked | {"user": choice.user or ""},  # no user's id goes into another address
        spans=_SPANS,
        is_filtered=any(asked.values()),
        now=DeadLetters(visit.state.redis).count(),
        chosen=let_through[:_MOST_GROUPS],
        groups=len(let_through),
        letters=sum(number for _, number in let_through),
        reads_events=choice.asks_events,
        runs=_runs(visit),
    )


@router.get("/dead/group")
def show_group(visit: Viewer, group: str = "") -> Response:
    """The dead letters of one job type, queue and cause."""
    read = _overview(visit)
    found = read.result.group(group) if read.result else None
    letters = DeadLetters(visit.state.redis).find(found.group.ids[-_MOST_LETTERS:]) if found else []
    is_unknown = found is not None and found.group.cause.startswith(_UNKNOWN)
    types = offered(visit) if is_unknown and visit.may("operator") else []
    return visit.page(
        "dead/group.html",
        read=read,
        group=group[:_LONGEST],
        found=found,
        letters=letters[::-1],
        is_unknown=is_unknown,
        types=[each.name for each in types],
    )


@router.get("/dead/letter")
def show_letter(visit: Viewer, id: str = "") -> Response:  # noqa: A002 - the name in the address
    """All about one dead letter, nothing personal."""
    details = _details(visit, id)
    return _letter(visit, masked_details(visit.state.redis, details), is_revealed=False)


@router.post("/dead/reveal")
def reveal(visit: Admin, fields: Fields) -> Response:
    """All about one dead letter as it is; who saw it is recorded before it is shown."""
    details = _details(visit, fields.get("id", ""))
    visit.state.audit.note("reveal", f"dead letter {details.dead_letter.id[:_LONGEST]}", visit.by, "done")
    return _letter(visit, details, is_revealed=True)


def _details(visit: Visit, letter_id: str) -> Details:
    found = DeadLetters(visit.state.redis).find([letter_id])
    if not found:
        raise HTTPException(404)
    return read_details(visit.state.redis, found[0])


def _letter(visit: Visit, details: Details, *, is_revealed: bool) -> Response:
    event = json.dumps(details.event, indent=1, ensure_ascii=False) if details.event else ""
    letter = details.dead_letter
    times = {"until": letter.failed_at.isoformat()} if letter.failed_at else {}
    return visit.page(
        "dead/letter.html",
        details=details,
        letter=letter,
        event=list(islice(event.splitlines(), _MOST_LINES)),
        text=list(islice(details.text.splitlines(), _MOST_LINES)),
        most=_MOST_LINES,
        is_revealed=is_revealed,
        forms={action: {"action": action, "id": letter.id, **times} for action in ACTIONS},
        has_call=any(page.name == "call" for page in visit.request.app.state.pages),
    )


def _overview(visit: Visit, selection: Selection = _ALL, typed: tuple[str, ...] = ()) -> Read[Overview]:
    """All of them, or a selection, which is known by what was typed: a span begins later at each request."""
    state = visit.state
    return state.dead_overview.get(typed, lambda count: read_overview(state.redis, count, selection))


def _runs(visit: Visit) -> list[AuditEntry]:
    """The last replays and discards that a console began or a command."""
    lately = visit.state.audit.latest(_LATELY)
    return [each for each in lately if each.action in ("replay", "discard")][:_MOST_RUNS]
