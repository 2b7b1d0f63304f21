"""`deskbell worker`: the supervisor of the processes that do the work. It loads no code of the integrator's."""

import os
import sys
from contextlib import ExitStack
from functools import partial

from deskbell.cli.processes.supervisor import Supervisor
from deskbell.cli.shards import chosen_shards
from shared.keys import RQ_KEY_PREFIX, rq_prefix
from shared.logs import configure_logs
from shared.prometheus import MULTIPROCESS
from shared.settings.config import load_settings
from shared.traces.environment import destination


def worker(
    queues: list[str],
    options: list[str],
    processes: int,
    *,
    burst: bool,
    metrics: tuple[str, int] | None,
    shards: str = "",
) -> None:
    """Work until SIGTERM or, with `burst`, until the queues are empty; SIGHUP replaces the processes.

    `metrics` is the address and port to tell what the processes count. Each of `shards`, such as 0-7, has so many
    processes.
    """
    environment = dict(os.environ)  # without what DESKBELL_ENV_FILE adds: each process reads that file itself
    settings = load_settings()
    configure_logs(settings.log_format)
    destination()  # what is wrong with it is refused here, once, and not by each process
    words = ["worker", *options, *(["--burst"] if burst else []), "--", *queues]
    chosen = chosen_shards(shards, settings)
    with ExitStack() as stack:
        if metrics:
            from deskbell.cli.processes.metrics_port import forget_process, metrics_port  # noqa: PLC0415 - few need it

            environment[MULTIPROCESS] = folder = stack.enter_context(metrics_port(*metrics))
        of_shards = [environment | {RQ_KEY_PREFIX: rq_prefix(shard)} for shard in chosen] or [environment]
        each = of_shards * processes
        supervisor = Supervisor(words, each, grace_seconds=settings.grace_seconds, burst=burst)
        if metrics:
            supervisor.forget = partial(forget_process, folder)
        status = supervisor.run()
    sys.exit(status)
