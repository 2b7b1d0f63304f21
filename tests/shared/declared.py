"""What tests declare, and the one handler or job type that came of it."""

import functools
from collections.abc import Callable
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from pydantic import BaseModel, Field

from deskbell import Callbacks, Jobs
from shared.handlers.handler import Handler
from shared.jobs.job_type import JobType


class Status(TypedDict):
    OrderStatus: Annotated[Literal["paid", "shipped"], Field(description="Where the order is.")]
    Parcels: NotRequired[Annotated[int, Field(ge=0)]]


class Summary(BaseModel):
    count: Annotated[int, Field(alias="Count", description="Orders so far.")]


def order_status(OrderID: str) -> dict[str, str]:
    """Answer the order as it was asked for."""
    return {"OrderStatus": OrderID}


def handler_of(function: Any, **options: Any) -> Handler:
    """The handler that a function is declared as."""
    callbacks = Callbacks()
    callbacks.api_call("node", **options)(function)
    return only_handler(callbacks)


def only_handler(callbacks: Callbacks) -> Handler:
    """The one handler that was declared."""
    [handler] = callbacks.handlers
    return handler


def only_job(jobs: Jobs) -> JobType:
    """The one job type that was declared."""
    [job_type] = jobs.types
    return job_type


def timed(function: Callable[..., Any]) -> Any:
    """A plain wrapper around any function, as a metric's timer is."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper
