"""The shop's handlers: they look things up and answer at once."""

from typing import Annotated, TypedDict

from pydantic import Field

from deskbell import ApiCall, AssignAgent, Assignment, Callbacks, Kind, Refuse

from . import fresh, orders, tracking

callbacks = Callbacks()
callbacks.include(fresh.callbacks)
callbacks.include(tracking.callbacks)


class OrderStatus(TypedDict):
    """What `order_status` answers; the Desk administrator sees it with `deskbell describe`."""

    OrderStatus: Annotated[str, Field(description="paid, shipped or delivered.")]
    Carrier: Annotated[str, Field(description="Who brings it; empty before it is shipped.")]


@callbacks.api_call("order_status", fallback={"OrderStatus": "unknown", "Carrier": ""})
def order_status(
    OrderID: Annotated[int, Kind.COLLECTED, Field(ge=1, description="The number on the receipt.", examples=[1002])],
) -> OrderStatus:
    """Tell the state of an order."""
    order = orders.find(OrderID)
    if order is None:
        raise Refuse("no such order")
    return {"OrderStatus": order.status, "Carrier": order.carrier}


@callbacks.api_call("invoice")
def invoice(
    OrderID: Annotated[int, Kind.COLLECTED, Field(ge=1, description="The number on the receipt.", examples=[1002])],
    SystemSessionID: str,  # noqa: ARG001 - the job needs it, so the node must send it
) -> dict[str, str]:
    """Say that the invoice is being made; a job sends it into the chat."""
    if orders.find(OrderID) is None:
        raise Refuse("no such order")
    return {"InvoiceState": "begun"}


@callbacks.api_call("customer_summary", when={"staticKey": "staticValue"})
def customer_summary(call: ApiCall) -> dict[str, str | int]:
    """Tell what the shop knows of a customer; answers the packet of Tencent's documentation."""
    found = orders.of_customer(call.user_id)
    return {"testKey1": found[0].status if found else "none", "testKey3": len(found)}


@callbacks.assign_agent(fallback=Assignment(group_id=1))
def assign_agent(event: AssignAgent) -> Assignment:
    """Send customers with orders under way to the group that knows them, everybody else to the first."""
    waiting = [order for order in orders.of_customer(event.user_id) if order.status != "delivered"]
    return Assignment(group_id=2 if waiting else 1)
