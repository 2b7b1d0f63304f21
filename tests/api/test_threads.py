"""The threads of a `def` handler."""

import threading
from typing import TYPE_CHECKING, Any

import pytest

from api.threads import THREADS, Threads

if TYPE_CHECKING:
    from concurrent.futures import Future

PATIENCE = 10


def blocked(threads: Threads, gate: threading.Event) -> "Future[Any]":
    """A call that has begun and waits at the gate."""
    begun = threading.Event()

    def call() -> None:
        begun.set()
        gate.wait(PATIENCE)

    run = threads.start(call)
    assert begun.wait(PATIENCE)
    return run


def test_a_call_left_behind_counts_until_it_ends() -> None:
    """When all threads are left behind they are stuck; one that ends is enough to go on."""
    threads, gate = Threads(), threading.Event()
    runs = [blocked(threads, gate) for _ in range(THREADS)]
    assert not threads.stuck

    left = [threads.leave(run) for run in runs]
    stuck = threads.stuck
    gate.set()
    for run in runs:
        run.result(PATIENCE)

    assert all(left)
    assert stuck
    assert not threads.stuck
    threads.close()


def test_a_call_that_waits_is_taken_back() -> None:
    """It never runs, and is no straggler."""
    threads, gate = Threads(), threading.Event()
    runs = [blocked(threads, gate) for _ in range(THREADS)]
    ran = threading.Event()
    waiting = threads.start(ran.set)

    assert threads.leave(waiting) is False

    gate.set()
    for run in runs:
        run.result(PATIENCE)
    threads.close()
    assert waiting.cancelled()
    assert not ran.is_set()


def test_a_call_that_has_ended_is_not_left_behind() -> None:
    """There is nothing to leave."""
    threads = Threads()
    run = threads.start(lambda: 1)

    assert run.result(PATIENCE) == 1
    assert threads.leave(run) is False
    threads.close()


def test_a_closed_pool_takes_no_call() -> None:
    """The api is ending."""
    threads = Threads()
    threads.close()

    with pytest.raises(RuntimeError):
        threads.start(lambda: 1)
