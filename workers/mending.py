"""Job hashes that RQ cannot read: the fields at fault are taken out, so that the job can be a dead letter."""

import re
from typing import Any

from redis import Redis
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

_NO_ORDER = ["", "0"]


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


def check_form(job: Job) -> None:
    """Check what RQ reads as any JSON, and then takes for granted.

    Raises:
        ValueError: a field holds JSON of another form.
    """
    forms = {
        "meta": _is_meta(job.meta),
        "retry_intervals": job.retry_intervals is None
        or (bool(job.retry_intervals) and _are(int, job.retry_intervals)),
        "repeat_intervals": job.repeat_intervals is None or _are(int, job.repeat_intervals),
        "dependency_ids": _are(str, job._dependency_ids),  # noqa: SLF001 - the public property asks Redis
    }
    if not all(forms.values()):
        raise ValueError([name for name, fits in forms.items() if not fits])


def _is_meta(value: Any) -> bool:
    return isinstance(value, dict) and type(value.get("attempt", 0)) is int and is_order(value.get("order", _NO_ORDER))


def is_order(value: object) -> bool:
    """Whether this is what a job keeps of its place: a digest, and a number as text."""
    return (
        isinstance(value, list)
        and all(isinstance(part, str) for part in value)
        and len(value) == len(_NO_ORDER)
        and bool(re.fullmatch(r"[0-9a-f]{0,32}", value[0]))
        and bool(re.fullmatch(r"\d{1,15}(\.\d{1,20})?", value[1]))
    )


def _are(kind: type, values: object) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _is_readable(blank: Job, name: bytes, value: bytes) -> bool:
    try:
        blank.restore({b"data": b"", name: value})
        check_form(blank)
    except Exception:  # noqa: BLE001 - RQ raises what its parsers raise
        return False
    return True
