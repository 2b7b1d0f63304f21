"""The worker as RQ knows it: registered, so that `rq info` shows it, and found by RQ's commands."""

import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress

from redis import Redis
from redis.exceptions import RedisError
from rq import worker_registration
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker, WorkerStatus

from shared.jobs.jobs import Jobs
from shared.redis.workers import WorkerRecord
from shared.version import commit, version
from workers.declared import declared
from workers.job import AllowListedJob
from workers.redis_errors import WorkerOutage, is_transient
from workers.worker.leases import WORKER_KNOWN_SECONDS
from workers.worker.maintenance import clean_registries

_AGAIN_SECONDS = 2.0


class RegisteredWorker(BaseWorker):
    """RQ's base of all workers, without the parts that our worker does on its event loop."""

    def __init__(self, queues: Sequence[str], connection: Redis) -> None:
        super().__init__(
            list(queues),
            name=uuid.uuid4().hex,
            connection=connection,
            job_class=AllowListedJob,
            serializer=JSONSerializer,
            worker_ttl=WORKER_KNOWN_SECONDS - 60,  # what RQ adds to it
            log_job_description=False,
        )

    def register(self, outage: WorkerOutage) -> None:
        """Register as RQ does; it is tried again while Redis is away."""
        while True:
            try:
                self.bootstrap(logging_level="WARNING")
            except RedisError as error:
                if not is_transient(error):
                    raise
                outage.record_error(error)
                time.sleep(_AGAIN_SECONDS)
                with suppress(RedisError):
                    self.connection.delete(self.key)  # RQ refuses a worker that it has registered, answered or not
            else:
                return

    def register_again(self) -> None:
        """Register a worker that Redis has forgotten."""
        with self.connection.pipeline() as pipeline:
            pipeline.hset(self.key, mapping=self.serialize())
            worker_registration.register(self, pipeline)
            pipeline.expire(self.key, WORKER_KNOWN_SECONDS)
            pipeline.execute()

    def unregister(self, outage: WorkerOutage) -> None:
        """Deregister as RQ does; when Redis is away, the worker's key expires for lack of heartbeats."""
        try:
            self.set_state(WorkerStatus.IDLE)
            BaseWorker.register_death(self)
        except (RedisError, OSError) as error:
            outage.record_error(error)

    def describe(self, jobs: Jobs, slots: int, shards: int) -> WorkerRecord:
        """This worker as others are to know it."""
        built_from = commit()
        return WorkerRecord(
            name=self.name,
            host=self.hostname or "",
            pid=self.pid or os.getpid(),
            version=f"{version()} ({built_from})" if built_from else version(),
            queues=tuple(self.queue_names()),
            job_types={job_type.name: declared(job_type) for job_type in jobs.types},
            slots=slots,
            shards=shards,
        )

    def clean_registries(self) -> None:
        """Clean RQ's registries, except for jobs under way."""
        clean_registries(self)

    def subscribe(self) -> None:
        """Do nothing: commands are read on the event loop, not in RQ's thread."""

    def _set_ip_address(self, connection: Redis) -> None:
        """RQ's, without which a worker starts as well: `register` waits for a Redis that goes away just now."""
        try:
            super()._set_ip_address(connection)
        except (RedisError, OSError):
            self.ip_address = "unknown"
