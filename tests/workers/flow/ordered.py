"""What the tests of order have in common: events of a key, and a job type that notes them."""

import dataclasses
import time
from collections.abc import Iterable
from typing import Any

from deskbell import ApiCall, Event, Jobs
from deskbell.testing import api_call
from shared.redis.queues import EVENTS
from shared.wire.commands import received
from shared.wire.events import new_event_id
from tests.waiting import until
from tests.workers.running import Workplace
from workers.flow.fifo_lock import wake

Ran = list[str]


def call(number: int, session: str = "s", *, seconds_ago: float = 1.0) -> ApiCall:
    """The call of a number, received so many milliseconds after the first."""
    event = api_call(str(number), SystemSessionID=session)
    return dataclasses.replace(event, id=new_event_id(time.time() - seconds_ago + number / 1000))


def step(seq: Any, execution: str = "e", *, seconds_ago: float = 1.0, **fields: Any) -> Event:
    """The event of a task flow's execution with a `Seq`."""
    packet = {
        "CallbackCommand": "Chatbot.TaskFlowEventNotify",
        "ExecutionId": execution,
        "Seq": seq,
        "SessionId": "s",
        **fields,
    }
    event = received(packet, app_id="1400000001", node=str(seq))
    return dataclasses.replace(event, id=new_event_id(time.time() - seconds_ago))


def ordered(kind: type[Event] = ApiCall, **options: Any) -> tuple[Jobs, Ran]:
    """A job type `note` that notes the nodes of events, ordered by session, and what it noted."""
    jobs, ran = Jobs(), Ran()

    @jobs.on(kind, **({"ordered_by": "session"} | options))
    def note(event: Event) -> None:
        ran.append(event.node)

    return jobs, ran


def fan_out(workplace: Workplace, events: Iterable[Event]) -> None:
    """Fan events out one after the other, in this order."""
    for event in events:
        workplace.put_event(event)
        workplace.work(EVENTS)


def drain(workplace: Workplace) -> None:
    """Work until nothing is left to be tried again."""
    default = workplace.queue()

    def is_drained() -> bool:
        workplace.make_due()
        workplace.work()
        return not default.scheduled_job_registry.count and not default.count

    until(is_drained)


def sweep(workplace: Workplace) -> None:
    """Do what workers do every half minute."""
    workplace.redis.delete("deskbell:orders:lock")
    wake(workplace.redis, workplace.jobs)
