"""What a claimed job calls: one of the two entry points, made ready for the event loop, a thread or a child."""

from collections.abc import Callable
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job

from shared.errors import DamagedJobError, ForeignFunctionError
from shared.events import Wire
from shared.logs import get_log
from shared.queues import FAN_OUT, PERFORM
from workers.children import Children
from workers.fan_out import FanOut
from workers.job_data import read_data
from workers.lease import Lease
from workers.perform import Attempt, Performer
from workers.retries import give_back

_DEFAULT_TIMEOUT_SECONDS = 180  # RQ's, for a job that names none


class Call:
    """A function that is to be called once, and what is to be logged of it.

    Attributes:
        function: the function.
        arguments: its arguments, by name.
        is_async: whether it runs on the event loop.
        timeout: seconds after which a coroutine is cancelled, or a thread given up.
        name: the job type's, such as a log line may hold.
    """

    function: Callable[..., Any]
    arguments: dict[str, Any]
    is_async = False
    timeout: float
    name = ""

    def prepare(self) -> None:
        """Find the function and its arguments.

        Raises:
            DeskbellError: there is none, or there are none that fit.
        """

    async def ready(self) -> None:
        """Wait for what the job runs in; its time begins afterwards."""

    def begin(self, job: Job) -> None:
        """Take the job's turn, and count the attempt where the claim could not; in a thread."""

    @property
    def has_begun(self) -> bool:
        """Whether there is nothing to count."""
        return True

    def done(self) -> None:
        """Log that it succeeded."""

    def failed(self, job: Job, error: BaseException) -> None:
        """Log that it failed, and prepare RQ's decision about the job."""


class FanOutCall(Call):
    """Fans an event out; `FanOut` logs it itself."""

    def __init__(self, fan_out: Callable[[Wire], None], wire: Wire, timeout: int) -> None:
        self.function = fan_out
        self.arguments = {"wire": wire}
        self.timeout = timeout

    def failed(self, job: Job, error: BaseException) -> None:
        """Use up no retry for an outage: all that a fan-out asks is Redis."""
        give_back(job, error)


class PerformCall(Attempt, Call):
    """Makes one attempt at a job."""

    def __init__(self, performer: Performer, name: str, wire: Wire, claim: Lease, children: Children) -> None:
        super().__init__(performer, name, wire, claim.attempt, claim.asked_at)
        self.timeout = timeout_of(claim)
        self._claim = claim
        self._children = children

    def prepare(self) -> None:
        """Find the job type's function, and the event."""
        super().prepare()
        job_type = self.job_type
        self.function, self.is_async = job_type.function, job_type.is_async
        if job_type.isolation:  # an `async def` is cancelled there; the process is killed when the backstop has passed
            self.function, self.is_async = self._children.perform, True
            self.arguments = {"claim": self._claim, "name": job_type.name, "wire": self._wire}
        elif self.is_async:  # the job's own time-out is the backstop
            self.timeout = job_type.timeout

    async def ready(self) -> None:
        """Wait for the fork server of a job with a process of its own."""
        if self.job_type.isolation:
            await self._children.ready()


class RefusedCall(Call):
    """Calls nothing: the job names another function, or cannot be read. It is a dead letter at once."""

    def __init__(self, claim: Lease) -> None:
        self._claim = claim

    def failed(self, job: Job, error: BaseException) -> None:
        """Log it, and leave no retry."""
        job.retries_left = 0
        get_log().error("job_refused", job_id=self._claim.job_id, queue=self._claim.queue, error=error)


class Calls:
    """Makes calls of claimed jobs."""

    def __init__(self, performer: Performer, worker_name: str) -> None:
        self._performer = performer
        self.children = Children(worker_name)
        self._fan_out = FanOut(performer.jobs).fan_out

    def of(self, claim: Lease) -> Call:
        """What a claimed job calls, not yet prepared.

        Raises:
            DeserializationError: its data cannot be read.
            ForeignFunctionError: it names another function than our two.
            DamagedJobError: the arguments are not those of the function.
        """
        name, instance, args, kwargs = _read(claim.data)
        if instance is not None or name not in (FAN_OUT, PERFORM):
            raise ForeignFunctionError(f"a worker of Deskbell runs {FAN_OUT} and {PERFORM}, nothing else")
        try:
            if name == FAN_OUT:
                return FanOutCall(self._fan_out, _wire(*args, **kwargs), timeout_of(claim))
            job_name, wire = _name_and_wire(*args, **kwargs)
            return PerformCall(self._performer, job_name, wire, claim, self.children)
        except TypeError:  # its text names arguments that anybody may have written
            raise DamagedJobError(f"the job's arguments are not those of {name}") from None


def timeout_of(claim: Lease) -> int:
    """The seconds that a job's hash allows it."""
    try:
        seconds = int(claim.timeout or 0)
    except ValueError:
        seconds = 0
    return seconds if seconds > 0 else _DEFAULT_TIMEOUT_SECONDS


def _read(data: bytes) -> tuple[Any, Any, Any, Any]:
    try:
        name, instance, args, kwargs = read_data(data)
    except Exception:  # noqa: BLE001 - whatever it is, and of which text: the letter's cause is that they cannot be read
        raise DeserializationError from None
    return name, instance, args, kwargs


def _wire(wire: Wire) -> Wire:
    return wire


def _name_and_wire(name: str, wire: Wire) -> tuple[str, Wire]:
    if not isinstance(name, str):
        raise TypeError
    return name, wire
