"""A look-up that takes longer than Desk waits, and whose answer the flow needs: it goes out late, by a second node.

1. `track_parcel` is called. The partner does not answer in time: the fallback goes out with a ticket.
2. A worker runs the handler again, for as long as the partner takes.
3. The flow calls `track_parcel.late` with the ticket, and gets where the parcel is.
"""

from typing import Annotated, TypedDict

from pydantic import Field

from deskbell import Callbacks, Jobs, Kind, Late, Refuse
from deskbell.jobs import late

from . import orders, partners

callbacks = Callbacks()
jobs = Jobs()


class Parcel(TypedDict):
    """What both nodes answer."""

    Place: Annotated[str, Field(description="Where the parcel is; empty while nobody knows.")]


@callbacks.api_call("track_parcel", fallback={"Place": ""}, late=Late(after_ms=100, timeout=20))
def track_parcel(OrderID: Annotated[int, Kind.COLLECTED, Field(ge=1, examples=[1002])]) -> Parcel:
    """Ask the carrier where the parcel of an order is."""
    order = orders.find(OrderID)
    if order is None:
        raise Refuse("no such order")
    return {"Place": partners.track(order.carrier) if order.carrier else "in our warehouse"}


jobs.include(late.jobs(callbacks))
