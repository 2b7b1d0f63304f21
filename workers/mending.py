"""Job hashes that RQ cannot read: the fields at fault are taken out, so that the job can be a dead letter."""

from typing import Any

from redis import Redis
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer


def mend(job_id: str, connection: Redis) -> list[str]:
    """Take the fields out of a job's hash that RQ cannot read; without them it can be listed, and put back.

    Args:
        job_id: the job's id.
        connection: to Redis.

    Returns:
        The names of the fields.
    """
    key = Job.key_for(job_id)
    fields: Any = connection.hgetall(key)
    if b"data" not in fields:
        return []
    blank = Job(job_id, connection=connection, serializer=JSONSerializer)
    unreadable = [name for name, value in fields.items() if name != b"data" and not _is_readable(blank, name, value)]
    if unreadable:
        connection.hdel(key, *unreadable)
    if b"status" in unreadable:
        connection.hset(key, "status", JobStatus.STARTED)
    return [name.decode(errors="replace") for name in unreadable]


def _is_readable(blank: Job, name: bytes, value: bytes) -> bool:
    try:
        blank.restore({b"data": b"", name: value})
    except Exception:  # noqa: BLE001 - RQ raises what its parsers raise
        return False
    return True
