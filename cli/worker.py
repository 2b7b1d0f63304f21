"""`deskbell worker`: the processes that do the work."""

import sys

from redis.exceptions import RedisError

from cli.errors import stop
from shared.config import load_settings
from shared.loading import load_jobs
from shared.logs import configure_logs, get_log
from shared.queues import EVENTS, connect
from workers.perform import Performer
from workers.supervisor import Supervisor
from workers.worker import QueueWorker

_UNREACHABLE = 1


def worker(queues: list[str], *, burst: bool) -> None:
    """Serve queues, all of them when none is named, until SIGTERM or, with `burst`, until they are empty."""
    settings = load_settings()
    configure_logs(settings.log_format)
    jobs = load_jobs(settings)
    chosen = list(dict.fromkeys(queues or [EVENTS, *jobs.queues]))
    for queue in chosen:
        if queue not in (EVENTS, *jobs.queues):
            stop(f"no job type waits on the queue {queue!r}; there are {', '.join([EVENTS, *jobs.queues])}")
    if len(chosen) > 1:
        sys.exit(Supervisor(chosen, burst=burst).run())
    connection = connect(settings)
    try:
        connection.ping()
    except (RedisError, OSError) as error:
        stop(f"DESKBELL_REDIS_URL: expected a server that answers, got {type(error).__name__}", _UNREACHABLE)
    get_log().info("working", queue=chosen[0], jobs=jobs.names)
    QueueWorker(chosen[0], Performer(jobs, settings), connection).run(burst=burst)
