"""Three ways to answer at once what a slow back end knows: handlers read caches, and jobs fill them.

1. `delivery_days`: an answer that a job keeps warm; one that is old is answered with its age, and refreshed behind it.
2. `loyalty_points`: fetched when the session begins, before anybody asks.
3. `request_return`, then `return_label`: two nodes; the second one says "not yet" until the job of the first is done.
"""

from dataclasses import dataclass

from deskbell import ApiCall, Callbacks, Jobs, Refuse, Retry, SessionEvent
from deskbell.cache import Cache

from . import orders, partners

FRESH_SECONDS = 60

callbacks = Callbacks()
jobs = Jobs()


@dataclass
class Label:
    """A label for a parcel that comes back."""

    number: str
    carrier: str


days = Cache("delivery_days", int, ttl=24 * 3600)
points = Cache("loyalty_points", int, ttl=3600)
labels = Cache("return_labels", Label, ttl=3600)


@callbacks.api_call("delivery_days")
async def delivery_days(City: str, call: ApiCall) -> dict[str, str | int]:
    """Tell how many days a parcel takes, and how many minutes ago the carrier said so."""
    found = await days.async_get(call, City)
    if found is None:
        return {"Days": "unknown", "AgeMinutes": ""}
    return {"Days": found.value, "AgeMinutes": int(found.age / 60)}


@jobs.on(ApiCall, node="delivery_days", queue="partners", timeout=30)
def refresh_delivery_days(event: ApiCall) -> None:
    """Ask the carrier again when its answer is older than a minute; of many calls for a city, one asks."""
    city = event.variables.get("City", "")  # under an empty key there is nothing to refresh
    if days.claim(event, city, older_than=FRESH_SECONDS):
        keep(days.put(event, city, partners.ask_carrier(city)))


@jobs.on(SessionEvent, when={"Event": "SessionBegin"}, queue="partners", timeout=30)
def prefetch_loyalty_points(event: SessionEvent) -> None:
    """Fetch a customer's points while he reads the greeting."""
    if points.claim(event, event.user_id):
        keep(points.put(event, event.user_id, partners.count_points(event.user_id)))


@callbacks.api_call("loyalty_points")
def loyalty_points(SystemClientUserID: str, call: ApiCall) -> dict[str, str | int]:
    """Tell a customer's points; `unknown` when the partner has not answered yet."""
    found = points.get(call, SystemClientUserID)
    return {"Points": found.value if found else "unknown"}


@callbacks.api_call("request_return")
def request_return(OrderID: int, SystemSessionID: str) -> dict[str, str]:  # noqa: ARG001 - the job needs the session
    """Begin with a label for an order that there is; the label takes the carrier some seconds."""
    if orders.find(OrderID) is None:
        raise Refuse("no such order")
    return {"ReturnState": "begun"}


@jobs.on(ApiCall, node="request_return", queue="partners", timeout=30)
def make_return_label(event: ApiCall) -> None:
    """Have the carrier make the label, once for each session and order."""
    if event.reply and event.reply.code != 0:
        return  # the call was refused: there is no such order
    order = int(event.variables["OrderID"])
    if labels.claim(event, label_key(event, order)):
        keep(labels.put(event, label_key(event, order), Label(*partners.make_label(order))))


@callbacks.api_call("return_label")
def return_label(OrderID: int, SystemSessionID: str, call: ApiCall) -> dict[str, str]:  # noqa: ARG001 - its key has it
    """Tell the label that `request_return` began with; nobody gets that of another session."""
    found = labels.get(call, label_key(call, OrderID))
    if found is None:
        return {"ReturnState": "not yet", "Label": ""}
    return {"ReturnState": "ready", "Label": f"{found.value.carrier} {found.value.number}"}


def label_key(call: ApiCall, order: int) -> str:
    """The key of a label."""
    return f"{call.session_id} {order}"


def keep(is_kept: bool) -> None:
    """Have the job tried again when Redis did not keep its result."""
    if not is_kept:
        raise Retry(after=5, counts=False)
