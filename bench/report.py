"""Targets, and whether they were met."""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Target:
    """A number that is to be reached."""

    what: str
    wanted: str
    got: float
    is_met: bool


def at_least(what: str, wanted: float, got: float) -> Target:
    """A target for a number that should be large."""
    return Target(what, f">= {wanted:,}", got, got >= wanted)


def at_most(what: str, wanted: float, got: float) -> Target:
    """A target for a number that should be small."""
    return Target(what, f"<= {wanted:,}", got, got <= wanted)


def print_targets(console: Console, targets: list[Target]) -> None:
    """Print a table of them."""
    made = Table("target", "wanted", "measured", "", title="targets")
    for target in targets:
        made.add_row(target.what, target.wanted, f"{target.got:,.2f}", "met" if target.is_met else "MISSED")
    console.print(made)
