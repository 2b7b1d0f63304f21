"""What a process makes once for all its threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deskbell.adapters.once import Once, close_all


def test_threads_that_come_at_once_are_given_the_same() -> None:
    """All of them come while the first one makes it; `functools.lru_cache` would let each make one of its own."""
    together, all_here = threading.Barrier(8, timeout=10), threading.Event()
    made: list[object] = []

    def make(_: str) -> object:
        all_here.wait(10)
        made.append(object())
        return made[-1]

    once = Once(make, made.remove)

    def come() -> object:
        if together.wait() == 0:
            all_here.set()
        return once("a")

    with ThreadPoolExecutor(8) as pool:
        found = [each.result() for each in [pool.submit(come) for _ in range(8)]]

    assert len(made) == 1
    assert found == made * 8


def test_other_texts_and_a_failure_are_made_anew() -> None:
    """A failure is not remembered: the next job may find the fault corrected."""
    asked: list[str] = []

    def make(text: str) -> str:
        asked.append(text)
        if len(asked) == 1:
            raise ValueError(text)
        return text.upper()

    once = Once(make, asked.remove)

    with pytest.raises(ValueError, match="a"):
        once("a")

    assert [once("a"), once("a"), once("b")] == ["A", "A", "B"]
    assert asked == ["a", "a", "b"]


def test_what_was_made_is_closed_when_the_process_ends_and_made_anew_for_who_asks_again() -> None:
    """A test of a job asks for the end with `close_all`."""
    closed: list[str] = []
    once = Once(str.upper, closed.append)

    once("a")
    close_all()
    once("a")
    close_all()

    assert closed == ["A", "A"]
