"""The shop's handlers: they look things up and answer at once."""

from shared import ApiCall, Callbacks, Refuse

from . import orders

callbacks = Callbacks()


@callbacks.api_call("order_status", fallback={"OrderStatus": "unknown"})
def order_status(OrderID: int) -> dict[str, str]:
    """Tell the state of an order."""
    order = orders.find(OrderID)
    if order is None:
        raise Refuse("no such order")
    return {"OrderStatus": order.status, "Carrier": order.carrier}


@callbacks.api_call("customer_summary", when={"staticKey": "staticValue"})
def customer_summary(call: ApiCall) -> dict[str, str | int]:
    """Tell what the shop knows of a customer; answers the packet of Tencent's documentation."""
    found = orders.of_customer(call.user_id)
    return {"testKey1": found[0].status if found else "none", "testKey3": len(found)}
