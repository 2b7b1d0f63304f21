"""One process of `deskbell worker`."""

import os
import signal
import sys

from deskbell.adapters.needs import servers
from deskbell.cli.exit import stop
from deskbell.cli.processes.supervisor import AGAIN
from deskbell.cli.processes.waiting import wait_for_redis
from shared.loading import load_jobs
from shared.logs import configure_logs, get_log
from shared.prometheus import MULTIPROCESS, make_shared_folder
from shared.redis.queues import EVENTS
from shared.runtime.open_files import raise_file_limit
from shared.runtime.parent import Parent
from shared.settings.config import Settings, load_settings
from shared.traces.sending import sending_traces
from workers.attempt import Performer
from workers.unawaited import log_unawaited
from workers.worker.shutdown import Shutdown
from workers.worker.worker import CONCURRENCY, ConcurrentWorker


def work(queues: list[str], *, concurrency: int | None, burst: bool, parent: Parent | None) -> None:
    """Serve queues until told to end or, with `burst`, until they are empty."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the supervisor's: it replaces this process
    settings = load_settings()
    configure_logs(settings.log_format)
    log_unawaited()
    with sending_traces("deskbell-worker"):
        _work(queues, settings, concurrency=concurrency, burst=burst, parent=parent)


def _work(
    queues: list[str], settings: Settings, *, concurrency: int | None, burst: bool, parent: Parent | None
) -> None:
    for url in servers(settings):
        from deskbell.http import check_proxies_for  # noqa: PLC0415 - httpx is slow to import, and few workers need it

        check_proxies_for(url)  # a proxy that cannot be used is refused here, once, and not by each job
    if MULTIPROCESS in os.environ:
        from deskbell.cli.processes.metrics_port import begin_to_count  # noqa: PLC0415 - few workers have the port

        make_shared_folder()
        begin_to_count()
    jobs = load_jobs(settings)
    chosen = list(dict.fromkeys(queues or [EVENTS, *jobs.queues]))
    for queue in chosen:
        if queue not in (EVENTS, *jobs.queues):
            stop(f"no job type waits on the queue {queue!r}; there are {', '.join([EVENTS, *jobs.queues])}")
    raise_file_limit()
    connection = wait_for_redis(settings, parent)
    performer = Performer(jobs, settings)
    ours = ConcurrentWorker(chosen, performer, connection, concurrency=concurrency or CONCURRENCY, parent=parent)
    get_log().info("working", queues=chosen, jobs=jobs.names, env_file=str(settings.env_file or ""))
    if ours.run(burst=burst) is Shutdown.STRAGGLERS:
        sys.exit(AGAIN)  # a thread that hangs ends only with its process
