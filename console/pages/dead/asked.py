"""Which dead letters an address asks for."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, HTTPException
from starlette.requests import Request

from deskbell.dead_letters.choice import FIELDS, Choice

_LONGEST = 200


def read_asked(request: Request) -> dict[str, str]:
    """What the address says of them, bounded."""
    return {name: request.query_params.get(name, "")[:_LONGEST] for name in FIELDS if name != "until"}


Asked = Annotated[dict[str, str], Depends(read_asked)]


def chosen(fields: Mapping[str, str]) -> Choice:
    """The choice that an address or a form means.

    Raises:
        HTTPException: it means none.
    """
    try:
        return Choice.read(fields)
    except ValueError as error:
        raise HTTPException(400, str(error)) from None
