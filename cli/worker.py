"""`deskbell worker`: the processes that do the work."""

import os
import sys

from redis.exceptions import RedisError

from cli.errors import stop
from shared.config import load_settings
from shared.loading import load_jobs
from shared.logs import configure_logs, flush_logs, get_log
from shared.queues import EVENTS, connect
from workers.ending import Ending
from workers.fork import ForkWorker
from workers.perform import Performer
from workers.supervisor import Supervisor
from workers.worker import CONCURRENCY, ConcurrentWorker

_UNREACHABLE = 1


def worker(queues: list[str], *, concurrency: int | None, processes: int, burst: bool, fork: bool) -> None:
    """Serve queues, all of them when none is named, until SIGTERM or, with `burst`, until they are empty."""
    if fork and concurrency is not None:
        stop("--fork performs one job at a time: expected --processes for more of them, got --concurrency")
    settings = load_settings()
    configure_logs(settings.log_format)
    jobs = load_jobs(settings)
    chosen = list(dict.fromkeys(queues or [EVENTS, *jobs.queues]))
    for queue in chosen:
        if queue not in (EVENTS, *jobs.queues):
            stop(f"no job type waits on the queue {queue!r}; there are {', '.join([EVENTS, *jobs.queues])}")
    if processes > 1:
        options = [*(["--concurrency", str(concurrency)] if concurrency else []), *(["--burst"] if burst else [])]
        options += ["--fork"] if fork else []
        sys.exit(Supervisor([*chosen, *options], processes, burst=burst, grace_seconds=settings.grace_seconds).run())
    connection = connect(settings)
    try:
        connection.ping()
    except (RedisError, OSError) as error:
        stop(f"DESKBELL_REDIS_URL: expected a server that answers, got {type(error).__name__}", _UNREACHABLE)
    get_log().info("working", queues=chosen, jobs=jobs.names)
    performer = Performer(jobs, settings)
    ours = (
        ForkWorker(chosen, performer, connection)
        if fork
        else ConcurrentWorker(chosen, performer, connection, concurrency=concurrency or CONCURRENCY)
    )
    if ours.run(burst=burst) is Ending.STRAGGLERS:
        # The same process, anew: threads that hang end only with it, and whoever supervises it need not notice.
        flush_logs()
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own command
