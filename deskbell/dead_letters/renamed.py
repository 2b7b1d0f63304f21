"""Which job types jobs of a type that nobody knows any more can be replayed as: those of living workers."""

from collections.abc import Iterable

from redis import Redis

from deskbell.queues.state import read_readers
from shared.jobs.job_type import JobType


def types_to_replay_as(redis: Redis, job_types: Iterable[JobType]) -> list[JobType]:
    """Of the job types that this process has imported, those that a living worker declares, too, by name.

    Only with the integrator's code can a job be written under another type: that says which events the type subscribes
    to, what its jobs are ordered by, and its limits and attempts. What no worker declares would be left again.
    """
    living = (record for here in read_readers(redis).values() for record in here.records)
    declared = {name for record in living for name in record.job_types}
    return sorted((each for each in job_types if each.name in declared), key=lambda each: each.name)
