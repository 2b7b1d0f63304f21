"""The events of a task flow's execution are ordered by their `Seq`."""

from collections.abc import Sequence
from itertools import permutations

import pytest

from deskbell import Event
from tests.conftest import WorkplaceFactory
from tests.workers.flow.ordered import call, drain, fan_out, ordered, step
from workers.flow.ordering import execution_of


@pytest.mark.parametrize(
    ("key", "order"), [("session", [3, 2, 1]), *(("ExecutionId", each) for each in permutations([1, 2, 3]))]
)
def test_the_events_of_an_execution_are_in_the_order_of_their_seq(
    key: str, order: Sequence[int], open_workplace: WorkplaceFactory
) -> None:
    """However they arrive: each is received, fanned out and worked before the next comes."""
    jobs, ran = ordered(Event, ordered_by=key)
    workplace = open_workplace(jobs)

    for seq in order:
        fan_out(workplace, [step(seq)])
        workplace.make_due()
        workplace.work()
    drain(workplace)

    assert ran == ["1", "2", "3"]


def test_a_missing_seq_is_waited_for_ten_seconds_and_only_once(open_workplace: WorkplaceFactory) -> None:
    """From the receipt of the later one; then the execution goes on, and what comes late runs when it comes."""
    jobs, ran = ordered(Event, ordered_by="ExecutionId")
    workplace = open_workplace(jobs)

    fan_out(workplace, [step(1), step(3, seconds_ago=3)])
    workplace.work()
    workplace.make_due()
    workplace.work()
    within = list(ran)
    fan_out(workplace, [step(1, "f"), step(3, "f", seconds_ago=11)])
    workplace.work()
    beyond = ran[1:]
    fan_out(workplace, [step(4, "f"), step(2, "f")])
    drain(workplace)

    assert within == ["1"]
    assert beyond == ["1", "3"]
    assert sorted(ran[3:]) == ["2", "3", "4"]


def test_events_that_a_job_type_does_not_want_are_not_missing(open_workplace: WorkplaceFactory) -> None:
    """`when` leaves gaps in the Seq of its jobs; what counts is what has arrived."""
    jobs, ran = ordered(Event, ordered_by="ExecutionId", when={"Event": "TaskEnd"})
    workplace = open_workplace(jobs)

    fan_out(workplace, [step(1, Event="TaskBegin"), step(2, Event="Node"), step(3, Event="TaskEnd")])
    workplace.work()

    assert ran == ["3"]


def test_a_seq_that_is_no_number_orders_by_receipt(open_workplace: WorkplaceFactory) -> None:
    """A field of the wrong kind must not make a dead letter of the fan-out."""
    jobs, ran = ordered(Event)
    workplace = open_workplace(jobs)

    fan_out(workplace, [step("x", seconds_ago=2), call(1)])
    drain(workplace)

    assert ran == ["x", "1"]
    for seq in (None, "", -1, 1.5, True, 2**40, [1], "²", "1" * 5000):
        assert execution_of(step(seq)) is None
