"""Reads that take longer than a page may."""

import threading

from console.reads import Reads
from tests.waiting import DEADLINE_SECONDS, until


def test_however_much_is_asked_for_few_reads_wait_for_their_turn() -> None:
    """A page may be asked for with another filter each time, and each read has a thread; later others begin."""
    reads, may_answer, most = Reads[bool](0.0, 0.0, most=4), threading.Event(), 4
    before = threading.active_count()

    for number in range(50):
        reads.get(number, lambda _: may_answer.wait(DEADLINE_SECONDS))
    begun = threading.active_count() - before
    may_answer.set()

    assert begun <= most
    assert until(lambda: reads.get("another", lambda _: True).result)
