"""The filters as the address of the page has them."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC

from fastapi import HTTPException
from starlette.requests import Request

from deskbell.calls.filters import LONGEST, Filters
from shared.records.segments import Place
from shared.sentences import sentence

NAMES = tuple(each.name for each in fields(Filters))
ZONE = UTC
"""Of times that name none: all times of the console are."""


def filters_of(request: Request) -> Filters:
    """The filters that are typed; not checked."""
    return Filters(**{name: request.query_params.get(name, "").strip() for name in NAMES})


def as_query(filters: Filters) -> Mapping[str, str]:
    """What is typed, for an address; no longer than a filter may be."""
    return {name: getattr(filters, name)[: LONGEST + 1] for name in NAMES}


def place_of(text: str) -> Place | None:
    """Where to go on from; "" means at the newest.

    Raises:
        HTTPException: it is no place.
    """
    try:
        return Place.parse(text) if text else None
    except ValueError:
        raise HTTPException(400, sentence("from: expected a place as a link of this page has it")) from None
