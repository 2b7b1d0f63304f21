"""What a process makes once for all its threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deskbell.jobs.once import Once


def test_threads_that_come_at_once_are_given_the_same() -> None:
    """All of them come while the first one makes it; `functools.lru_cache` would let each make one of its own."""
    together, all_here = threading.Barrier(8, timeout=10), threading.Event()
    made: list[object] = []

    @Once
    def make(_: str) -> object:
        all_here.wait(10)
        made.append(object())
        return made[-1]

    def come() -> object:
        if together.wait() == 0:
            all_here.set()
        return make("a")

    with ThreadPoolExecutor(8) as pool:
        found = [each.result() for each in [pool.submit(come) for _ in range(8)]]

    assert len(made) == 1
    assert found == made * 8


def test_other_texts_and_a_failure_are_made_anew() -> None:
    """A failure is not remembered: the next job may find the fault corrected."""
    asked: list[str] = []

    @Once
    def make(text: str) -> str:
        asked.append(text)
        if len(asked) == 1:
            raise ValueError(text)
        return text.upper()

    with pytest.raises(ValueError, match="a"):
        make("a")

    assert [make("a"), make("a"), make("b")] == ["A", "A", "B"]
    assert asked == ["a", "a", "b"]
