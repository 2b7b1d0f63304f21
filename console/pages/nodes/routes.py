"""All nodes, and one of them."""

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from console.page import Page
from console.pages.nodes.rows import rows_of
from console.pages.nodes.texts import TEXTS
from console.visit import Viewer
from deskbell.cli.defaults import DEV_TOKEN
from deskbell.describe.document import URL_RULES, event_section, handler_section, token_section
from deskbell.describe.handlers import description_of
from deskbell.describe.loaded import callback_url
from deskbell.describe.subscriptions import app_tokens, subscriptions, takers_of_all
from deskbell.unknowns.undocumented import undocumented

router = APIRouter()
PAGE = Page("nodes", "/nodes", router, TEXTS, order=50)

_MOST_ROWS = 200
_MOST_UNANSWERED = 20
_MOST_NAMES = 20
_HOST = "https://your.host"


@router.get("/nodes")
def show(visit: Viewer, name: str = "") -> Response:
    """All nodes, or the one that is named."""
    loaded, lately = visit.state.described.loaded(), visit.state.described.lately()
    base = callback_url(_HOST, visit.settings)
    handlers = loaded.callbacks.handlers if loaded.callbacks else []
    rows = rows_of([description_of(each, base) for each in handlers], lately)
    told = lately.told
    if name:
        named = [row for row in rows if row.name == name]
        if not named and name not in told.unanswered:
            raise HTTPException(404)
        return visit.page(
            "nodes/node.html",
            name=name,
            rows=[(row, handler_section(row.handler) if row.handler else None) for row in named],
            unanswered=told.unanswered.get(name),
            loaded=loaded,
            lately=lately,
            most=_MOST_NAMES,
            url_rules=URL_RULES,
        )
    wanted = subscriptions(loaded.job_types, handlers, base)
    knows_jobs = bool(visit.settings.jobs)
    unanswered = sorted(told.unanswered.values(), key=lambda each: -each.count)
    return visit.page(
        "nodes/nodes.html",
        rows=rows[:_MOST_ROWS],
        all=len(rows),
        unanswered=unanswered[:_MOST_UNANSWERED],
        more=len(unanswered) - _MOST_UNANSWERED,
        events=event_section(wanted, takers_of_all(loaded.job_types), knows_jobs=knows_jobs),
        tokens=token_section(app_tokens(visit.settings, reveal=False), DEV_TOKEN, revealed=False),
        unknown={kind: names[:_MOST_NAMES] for kind, names in undocumented(told.seen).items()},
        loaded=loaded,
        lately=lately,
        url_rules=URL_RULES,
    )
