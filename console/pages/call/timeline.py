"""What became of an event, in its order."""

from dataclasses import dataclass

from shared.records.query import Attempt, Story

MOST_STEPS = 200
"""Attempts and repetitions that a page shows."""


@dataclass(frozen=True, slots=True)
class Step:
    """An attempt at a job, or a delivery that came again.

    Attributes:
        at: Unix seconds; of an attempt by its worker's clock, of a repetition by the server's.
        attempt: None of a repetition.
    """

    at: float
    attempt: Attempt | None = None


def steps(story: Story) -> list[Step]:
    """What came after the answer, the first first."""
    found = [Step(at) for at in story.repeated]
    found += [Step(each.ended_ms / 1000, each) for each in story.attempts]
    return sorted(found, key=lambda step: step.at)
