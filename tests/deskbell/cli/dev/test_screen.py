"""What a block looks like."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from deskbell.cli.dev.blocks import Block
from deskbell.cli.dev.screen import Screen

EVENT = "0" * 32


@pytest.mark.parametrize(
    ("attempts", "said"),
    [
        ({}, "ticket out, no values yet"),
        ({"late.quote": {"outcome": "retry", "attempt": 1}}, "ticket out, no values yet"),
        ({"late.quote": {"outcome": "done"}}, "ticket out, values in 2.5 s"),
    ],
)
def test_a_late_callback_says_when_its_values_came(attempts: dict[str, dict[str, Any]], said: str) -> None:
    """From its answer to the end of the job that computes them."""
    output = StringIO()
    screen = Screen(Console(file=output, width=200), show_values=False)
    ended = {"timestamp": "2026-11-27T02:00:02.500+00:00", "ms": 1.0}
    jobs = {name: entry | ended | {"job": name} for name, entry in attempts.items()}
    callback = {"outcome": "late", "node": "quote", "timestamp": "2026-11-27T02:00:00.000+00:00", "ms": 1.0}

    screen.block(Block(EVENT, 0.0, callback=callback, jobs=["late.quote"], attempts=jobs), None)

    assert said in output.getvalue()
