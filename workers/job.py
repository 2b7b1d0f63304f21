"""An RQ job that calls nothing: an allow-list for what stands in Redis, where anybody may have written it.

RQ imports and calls the function, the three callbacks and the webhooks that a job's hash names. Anyone who can write
to Redis could have a worker call anything; so our worker calls its two entry points by itself (see
`workers/worker/call.py`), and RQ's code gets jobs of this class.
"""

from collections.abc import Callable
from typing import Any

from redis import Redis
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from shared.errors import ForeignFunctionError
from shared.redis.job_data import unpack
from workers.lease import Lease


class AllowListedJob(Job):
    """An RQ job with lazy loading: its hash is read when an attribute is used, which few jobs that succeed need.

    Attributes:
        lease: what a worker holds it by; None of a job that RQ's code has fetched.
        is_reset: whether only the data are left of what its hash held, since the rest could not be read or written.
    """

    lease: Lease | None = None
    is_reset = False

    @classmethod
    def of(cls, lease: Lease, connection: Redis) -> "AllowListedJob":
        """The job of a lease; nothing is read yet."""
        job = object.__new__(cls)
        job.__dict__.update(lease=lease, connection=connection)
        return job

    def __getattr__(self, name: str) -> Any:
        """An attribute that is not there: the hash has not been read.

        Raises:
            NoSuchJobError: the job has expired.
        """
        if name.startswith("__") or self.lease is None or "serializer" in self.__dict__:
            raise AttributeError(name)
        self.read()
        return getattr(self, name)

    def read(self) -> None:
        """Read the hash, if that is not done yet: to be called before anything is set.

        Raises:
            NoSuchJobError: the job has expired.
        """
        if self.lease is None or "serializer" in self.__dict__:
            return
        fields = self.connection.hgetall(self.key_for(self.lease.job_id))
        if not fields:
            raise NoSuchJobError
        super().__init__(self.lease.job_id, connection=self.connection, serializer=JSONSerializer)
        self.restore(fields)

    def restore(self, raw_data: Any) -> None:
        """Take over what a hash holds; only the data, when RQ cannot read the rest.

        Raises:
            NoSuchJobError: it holds no data.
        """
        data = raw_data.get(b"data")
        if data is None:
            raise NoSuchJobError
        try:
            data = unpack(data)  # before RQ does, which would unpack a few bytes to any size
            super().restore(raw_data)
        except Exception:  # noqa: BLE001 - RQ raises whatever its parsers raise; Redis is not asked here
            self.reset(data)

    def reset(self, data: Any = None) -> None:
        """Keep nothing but the data, so that RQ's code can write the job's end: no retry is left."""
        data = self._data if data is None else data
        super().__init__(self.id, connection=self.connection, serializer=self.serializer)
        self.data, self._status, self.is_reset = data, JobStatus.STARTED, True

    @property
    def func(self) -> Callable[..., Any]:
        """Refuse: RQ would import and call the function that the hash names."""
        raise ForeignFunctionError("a worker of Deskbell runs its own entry points, nothing that RQ would import")

    success_callback = failure_callback = stopped_callback = property(lambda _: None)

    def send_webhooks(self, *_: Any, **__: Any) -> None:
        """Send none."""
