"""Reads of all shards at once."""

import threading

from deskbell.queues.shards import Together
from tests.waiting import DEADLINE_SECONDS, until

TOLD = ["shard 0", None, "shard 2"]


def test_a_shard_that_does_not_answer_keeps_nobody_waiting_for_the_others() -> None:
    """Its last answer stays, and it is asked no second time before it has answered."""
    together, may_answer, asked = Together(3, 0.2), threading.Event(), []

    def read(shard: int) -> str:
        asked.append(shard)
        if shard == 1:
            may_answer.wait(DEADLINE_SECONDS)
        return f"shard {shard}"

    until(lambda: [each.result for each in together.latest(read)] == TOLD)
    found = together.latest(read)
    late = [each.is_late for each in found]
    may_answer.set()
    until(lambda: [each.is_late for each in together.latest(read)] == [False] * 3)

    together.close()
    assert late[1]
    assert asked.count(1) == 1
    assert [each.result for each in found] == ["shard 0", "shard 1", "shard 2"]  # what is shown is filled in


def test_a_shard_that_fails_is_told_beside_the_others() -> None:
    """Also of a read that is made once."""
    together = Together(2, DEADLINE_SECONDS)

    def read(shard: int) -> str:
        if shard == 1:
            raise OSError
        return "known"

    found = together.once(read)

    together.close()
    assert [each.result for each in found] == ["known", None]
    assert [type(each.error) for each in found] == [type(None), OSError]
