"""A job type as its worker's record on Redis has it, for those that do not have the integrator's code."""

from shared.declarations.policies import Concurrency, Rate
from shared.jobs.job_type import JobType
from shared.redis.workers import DeclaredJobType


def declared(job_type: JobType) -> DeclaredJobType:
    """What others need to know of a job type."""
    limit = job_type.limit
    rate = limit if isinstance(limit, Rate) else Rate(0, 0)
    return DeclaredJobType(
        queue=job_type.queue,
        starts=rate.starts,
        period_ms=rate.period_ms,
        concurrency=limit.jobs if isinstance(limit, Concurrency) else 0,
        is_ordered=job_type.ordered_by is not None,
        holds=job_type.on_dead == "hold",
    )
