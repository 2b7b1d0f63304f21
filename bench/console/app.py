"""Twenty nodes, and job types that fail as their event says."""

from collections.abc import Callable

from deskbell import ApiCall, Callbacks, Discard, Jobs

NODES = ("order_status", "parcel", *(f"node_{number}" for number in range(18)))
FAILURES: dict[str, Callable[[], Exception]] = {
    "time-out": lambda: TimeoutError("no answer"),
    "refused": lambda: ConnectionRefusedError("port 443"),
    "gone": lambda: Discard("no such contact"),
}
"""What jobs fail with, by the value of the variable `Failure`."""

QUEUES = ("crm", "mail", "analytics")

callbacks = Callbacks()
jobs = Jobs()


def _declare(node: str) -> None:
    @callbacks.api_call(node, fallback={"OrderStatus": "unknown"})
    async def answer(OrderID: str) -> dict[str, str]:
        return {"OrderStatus": "shipped", "Carrier": "SF", "Eta": "2026-11-28"}


for _node in NODES:
    _declare(_node)


def _job_type(name: str, queue: str) -> None:
    @jobs.on(ApiCall, name=name, queue=queue, attempts=1)
    def run(event: ApiCall) -> None:
        if failure := FAILURES.get(event.variables.get("Failure", "")):
            raise failure()


for _queue in QUEUES:
    for _number in range(4):
        _job_type(f"{_queue}.type_{_number}", _queue)
