"""RQ jobs that call nothing but our entry points, whatever their hashes in Redis name."""

import zlib
from collections.abc import Callable, Mapping
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from shared.errors import ForeignFunctionError
from workers.job_data import unpack
from workers.lease import Lease
from workers.places import is_order

EntryPoints = Mapping[str, Callable[..., Any]]


def entry_point(entry_points: EntryPoints, name: object, instance: object) -> Callable[..., Any]:
    """What a job that names a function calls.

    Raises:
        ForeignFunctionError: it names another function, or a method of an instance.
    """
    if instance is not None or not isinstance(name, str) or name not in entry_points:
        raise ForeignFunctionError(f"a worker of Deskbell runs {' and '.join(entry_points)}, nothing else")
    return entry_points[name]


def guarded_job_class(entry_points: EntryPoints) -> type[Job]:
    """An RQ job that calls nothing but the entry points, whatever its hash in Redis names.

    RQ imports and calls the function, the three callbacks and the webhooks a hash names; whoever can write to
    Redis could have this process call anything.

    Args:
        entry_points: what may be called, by the name that jobs give it.
    """

    class GuardedJob(Job):
        @property
        def func(self) -> Callable[..., Any]:
            return entry_point(entry_points, self.func_name, self.instance)

        @property
        def success_callback(self) -> None:
            return None

        @property
        def failure_callback(self) -> None:
            return None

        @property
        def stopped_callback(self) -> None:
            return None

        def send_webhooks(self, *_: Any, **__: Any) -> None:
            return None

        def restore(self, raw_data: Any) -> None:
            """Take over what a hash holds; only the data of one that RQ cannot read: then no retry is left.

            Raises:
                NoSuchJobError: it holds no data.
            """
            fields = {**raw_data, **_bounded(raw_data)}
            try:
                super().restore(fields)
                _check_form(self)
            except NoSuchJobError:
                raise
            except Exception:  # noqa: BLE001 - RQ raises what its parsers raise; Redis is not asked here
                Job.__init__(self, self.id, connection=self.connection, serializer=self.serializer)
                super().restore({b"data": fields[b"data"], b"status": JobStatus.STARTED.encode()})
                self.is_unreadable = True

    return GuardedJob


def _bounded(fields: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Data in place of what RQ would unpack to any size: of no use to a job either way."""
    data = fields.get(b"data")
    try:
        unpack(data or b"")
    except ValueError:
        return {b"data": zlib.compress(data or b"")}
    return {}


def _check_form(job: Job) -> None:
    """Check what RQ reads as any JSON, and then takes for granted.

    Raises:
        ValueError: a field holds JSON of another form.
    """
    meta: object = job.meta
    waits = [job.retry_intervals, job.repeat_intervals]
    is_sound = (
        isinstance(meta, dict)
        and type(meta.get("attempt", 0)) is int
        and ("order" not in meta or is_order(meta["order"]))
        and all(each is None or (each and _are(int, each)) for each in waits)
        and _are(str, job._dependency_ids)  # noqa: SLF001 - the public property asks Redis
    )
    if not is_sound:
        raise ValueError("a field holds JSON of another form")


def _are(kind: type, values: object) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)


def claimed_job_class(entry_points: EntryPoints) -> type["ClaimedJob"]:
    """A guarded job for a worker that claims many: see `ClaimedJob`."""

    class Claimed(ClaimedJob, guarded_job_class(entry_points)):  # type: ignore[misc]
        pass

    return Claimed


class ClaimedJob(Job):
    """A job that reads its hash when somebody first looks at it: few that succeed are ever looked at.

    What RQ's code would write of a failure at once, outside its transaction, it writes inside: the transaction is not
    carried out when the job has become another worker's.
    """

    _held: tuple[Lease, Redis]
    _transaction: Pipeline | None = None
    is_unreadable = False
    is_failing = False
    """Whether its failure is being written: then `meta` is written with it."""

    @classmethod
    def of(cls, claim: Lease, connection: Redis) -> "ClaimedJob":
        """A job that has been claimed; nothing is read yet."""
        job = object.__new__(cls)
        job.__dict__["_held"] = claim, connection
        return job

    @property
    def claim(self) -> Lease | None:
        """What one of our workers holds it by."""
        held = self.__dict__.get("_held")
        return held[0] if held else None

    def __getattr__(self, name: str) -> Any:
        """An attribute that is not there: the hash has not been read.

        Raises:
            NoSuchJobError: the job has expired.
        """
        if name.startswith("__") or "_held" not in self.__dict__ or "serializer" in self.__dict__:
            raise AttributeError(name)
        self.read()
        return getattr(self, name)

    def read(self) -> None:
        """Read the hash, if that is not done yet: to be called before anything is set.

        Raises:
            NoSuchJobError: the job has expired.
        """
        if "serializer" in self.__dict__:
            return
        claim, connection = self._held
        Job.__init__(self, claim.job_id, connection=connection, serializer=JSONSerializer)
        try:
            self.refresh()  # type: ignore[no-untyped-call]
        except BaseException:
            self.__dict__.clear()  # so that the next look reads again
            self.__dict__["_held"] = claim, connection
            raise

    def save_meta(self) -> None:
        """Write `meta`; that of a failure together with it."""
        if not self.is_failing:
            super().save_meta()  # type: ignore[no-untyped-call]

    def save(self, pipeline: Pipeline | None = None, include_meta: bool = True, include_result: bool = True) -> None:
        """Write the job."""
        super().save(pipeline or self._transaction, include_meta or self.is_failing, include_result)

    def set_status(self, status: JobStatus, pipeline: Pipeline | None = None) -> None:
        """Write the status; the hash anew where RQ could not read it, so that RQ's tools can."""
        transaction = pipeline or self._transaction
        if self.is_unreadable:
            (transaction or self.connection).delete(self.key)
            self.save(transaction)
        super().set_status(status, transaction)

    def retry(self, queue: Queue, pipeline: Pipeline) -> None:
        """Queue or schedule the job again.

        RQ counts it in the job itself: when the transaction is refused and written again, it must not count twice.
        """
        self._transaction, before = pipeline, self.retries_left
        try:
            super().retry(queue, pipeline)
        finally:
            self._transaction, self.retries_left = None, before
