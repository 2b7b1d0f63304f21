"""Callbacks with their jobs, put together from log lines."""

from typing import Any

from deskbell.cli.dev.blocks import WAIT_SECONDS, Block, Blocks, Later
from deskbell.cli.dev.lines import Line
from tests.deskbell.cli.dev.clock import Clock

EVENT = "0" * 32


def line(event: str, **fields: Any) -> Line:
    """A log line about the event."""
    return Line("api", "", {"event": event, "event_id": EVENT, **fields})


CALLBACK = line("callback", outcome="answered", ms=1.0)
FAN_OUT = line("fan_out", outcome="done", jobs=["one", "two"])


def attempt(job: str, outcome: str) -> Line:
    """The line of an attempt."""
    return line("attempt", job=job, outcome=outcome, attempt=1)


def test_a_block_is_shown_once_all_jobs_have_ended_in_whatever_order_the_lines_come() -> None:
    """Api and workers write to pipes of their own."""
    blocks = Blocks(Clock())

    for each in (FAN_OUT, attempt("two", "dead"), CALLBACK):
        assert blocks.add(each)
        assert list(blocks.take()) == []
    blocks.add(attempt("one", "done"))
    (block,) = blocks.take()

    assert isinstance(block, Block)
    assert {name: each["outcome"] for name, each in block.attempts.items()} == {"one": "done", "two": "dead"}
    assert list(blocks.take()) == []


def test_what_comes_after_a_moment_is_shown_by_itself() -> None:
    """A retry may be an hour away."""
    clock = Clock()
    blocks = Blocks(clock)

    for each in (CALLBACK, FAN_OUT, attempt("one", "retry")):
        blocks.add(each)
    clock.now += WAIT_SECONDS + 0.1
    (block,) = blocks.take()
    blocks.add(attempt("one", "done"))

    assert isinstance(block, Block)
    assert not block.is_complete
    assert [each.attempt["outcome"] for each in blocks.take() if isinstance(each, Later)] == ["done"]


def test_a_duplicate_is_a_block_of_its_own() -> None:
    """It has the id of the first delivery, and no jobs."""
    blocks = Blocks(Clock())
    for each in (CALLBACK, line("fan_out", outcome="done", jobs=[])):
        blocks.add(each)

    blocks.add(line("callback", outcome="duplicate", ms=1.0))

    shown = [each for each in blocks.take() if isinstance(each, Block)]
    assert sorted(each.callback["outcome"] for each in shown if each.callback) == ["answered", "duplicate"]


def test_lines_about_no_event_are_left_to_others() -> None:
    """And so is what an integrator prints."""
    blocks = Blocks(Clock())

    assert not blocks.add(Line("api", "text", None))
    assert not blocks.add(Line("api", "", {"event": "redis_away"}))
    assert not blocks.add(line("contact_overtaken"))
