"""Callbacks that are too many to be read."""

from deskbell.cli.dev.blocks import Block, Later
from deskbell.cli.dev.surplus import READABLE, Surplus
from tests.deskbell.cli.dev.clock import Clock


def block(outcome: str) -> Block:
    """A block with one job that is done and one under way."""
    return Block("0" * 32, 0.0, {"outcome": outcome}, jobs=["a", "b"], attempts={"a": {"outcome": "done"}})


def test_what_is_beyond_a_persons_eye_is_counted_for_a_second() -> None:
    """Then it is said, and others are shown again."""
    clock = Clock()
    surplus = Surplus(clock)

    shown = [surplus.takes(block("answered")) for _ in range(READABLE + 2)]
    surplus.takes(block("misfit"))
    surplus.takes(Later("0" * 32, {"outcome": "dead"}))
    early = surplus.summary()
    clock.now += 1.1

    assert shown == [False] * READABLE + [True] * 2
    assert early == ""
    assert surplus.summary() == ("3 more callbacks: 2 answered, 1 misfit; 7 more jobs: 3 done, 3 under way, 1 dead")
    assert surplus.summary() == ""
    assert not surplus.takes(block("answered"))
