"""The type of the jobs that compute late values."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shared.errors import UnknownJobError
from shared.jobs.job_type import JobType
from shared.logs import get_log
from shared.redaction import loggable_fields
from shared.wire.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class LateJobType(JobType):
    """A job type that runs a handler once more, for the events that it was too late for.

    Attributes:
        answers: whether the handler is the one that answers an event.
    """

    answers: Callable[[Event], bool]

    def wants(self, event: Event) -> bool:
        """Whether the event went out with a ticket for this handler."""
        return is_late(event) and self.answers(event)


def is_late(event: Event) -> bool:
    """Whether an event went out with a ticket."""
    return event.reply is not None and event.reply.outcome == "late"


def check_late(event: Event, wanted: Iterable[JobType]) -> None:
    """Refuse to fan out an event with a ticket that no job type here computes the values for.

    Raises:
        UnknownJobError: there is none; the event is left, and a dead letter after a day.
    """
    if is_late(event) and not any(isinstance(each, LateJobType) for each in wanted):
        advice = (
            "write jobs.include(late.jobs(callbacks)), with from deskbell.jobs import late, and restart the workers"
        )
        get_log().error("late_without_job", **loggable_fields(event_id=event.id, node=event.node), advice=advice)
        raise UnknownJobError(f"no job type of this worker computes the late values of the node; {advice}")
