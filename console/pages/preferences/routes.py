"""Remembers in cookies how somebody wants to see the console."""

from fastapi import APIRouter
from starlette.responses import Response

from console.forms import Fields, local_path
from console.page import Page
from console.texts.table import LANGUAGES
from console.visit import INTERVALS, THEMES, Anybody

router = APIRouter()
PAGE = Page("preferences", "/preferences", router, {})

_ALLOWED = {
    "language": tuple(LANGUAGES),
    "theme": THEMES,
    "interval": tuple(map(str, INTERVALS)),
}


@router.post("/preferences")
def set_preferences(visit: Anybody, fields: Fields) -> Response:
    """Set what the form says; what it may not be is left as it is."""
    response = visit.back(local_path(fields.get("next", "/")))
    for name, allowed in _ALLOWED.items():
        if fields.get(name) in allowed:
            visit.state.sessions.set_preference(response, f"deskbell_{name}", fields[name])
    return response
