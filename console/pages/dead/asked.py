"""Which dead letters an address asks for, and as what they are to be replayed."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, HTTPException
from starlette.requests import Request

from console.visit import Visit
from deskbell.dead_letters.choice import FIELDS, Choice
from deskbell.dead_letters.renamed import types_to_replay_as
from shared.jobs.job_type import JobType
from shared.sentences import sentence

_LONGEST = 200


def read_asked(request: Request) -> dict[str, str]:
    """What the address says of them, bounded."""
    return {name: request.query_params.get(name, "")[:_LONGEST] for name in FIELDS if name != "until"}


Asked = Annotated[dict[str, str], Depends(read_asked)]


def replayed_as(visit: Visit, fields: Mapping[str, str]) -> JobType | None:
    """The other job type that dead letters are to be replayed as; None for their own.

    Raises:
        HTTPException: it is none that they can be replayed as, or they are not to be replayed.
    """
    if not (name := fields.get("as", "")):
        return None
    types = {each.name: each for each in offered(visit)}
    if name not in types or fields.get("action") != "replay":
        wrong = sentence(
            "as: expected one of the job types to replay as ({types}), got {got!r}",
            types=list(types) or [sentence("none")],
            got=name[:_LONGEST],
        )
        raise HTTPException(400, wrong)
    return types[name]


def offered(visit: Visit) -> list[JobType]:
    """The job types that dead letters can be replayed as."""
    return types_to_replay_as(visit.state.redis, visit.state.described.loaded().job_types)


def chosen(fields: Mapping[str, str]) -> Choice:
    """The choice that an address or a form means.

    Raises:
        HTTPException: it means none.
    """
    try:
        return Choice.read(fields)
    except ValueError as error:
        raise HTTPException(400, error.args[0]) from None
