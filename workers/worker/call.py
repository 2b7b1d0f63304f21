"""Which function a claimed job calls, and with what: one of the two entry points, nothing else."""

from typing import Any

from rq.exceptions import DeserializationError

from shared.errors import DamagedJobError, ForeignFunctionError
from shared.redis.job_data import read_data
from shared.redis.queues import FAN_OUT, PERFORM
from workers.attempt import Attempt, Performer
from workers.fan_out import prepare_fan_out
from workers.worker.execution import Execution


def prepare(performer: Performer, execution: Execution) -> None:
    """Give an execution the attempt that it is; or, of an event's own job, its fan-out.

    Raises:
        DeserializationError: the job's data cannot be read.
        ForeignFunctionError: the job names another function than our two.
        DamagedJobError: the arguments are not those of the function, or hold no event.
        UnknownJobError: no job type here has the job's name.
        Exception: the job holds no event, or one of another version.
    """
    name, arguments = _read(execution.lease.data)
    match arguments:
        case [wire] if name == FAN_OUT:
            execution.is_event = True
            execution.fan_out = prepare_fan_out(performer.jobs, wire)
        case [str(job_name), wire] if name == PERFORM:
            attempt = execution.attempt = Attempt(performer, job_name, wire, execution.lease)
            attempt.prepare()
            if attempt.job_type.is_async and not attempt.job_type.isolation:  # what the hash allows is the backstop
                execution.timeout = attempt.job_type.timeout
        case _:  # which may hold what anybody has written
            raise DamagedJobError(f"the job's arguments are not those of {name}")


def _read(data: bytes) -> tuple[str, Any]:
    """The function that a job's data name, and its arguments."""
    try:
        name, instance, args, kwargs = read_data(data)
    except Exception:  # noqa: BLE001 - whatever it is: its text may quote the data, and "cannot be read" is the cause
        raise DeserializationError from None
    if instance is not None or name not in (FAN_OUT, PERFORM):
        raise ForeignFunctionError(f"a worker of Deskbell runs {FAN_OUT} and {PERFORM}, nothing else")
    return name, None if kwargs else args
