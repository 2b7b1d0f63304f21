"""`deskbell api`: the supervisor of the HTTP processes; each of them is in `deskbell/cli/processes/api_process.py`."""

import os
import sys
import tempfile
from contextlib import ExitStack

from prometheus_client.multiprocess import mark_process_dead

from deskbell.cli.processes.listening import open_listener
from deskbell.cli.processes.supervisor import Supervisor
from deskbell.cli.processes.waiting import refuse_cluster
from shared.keys import RQ_KEY_PREFIX, rq_prefix
from shared.logs import configure_logs
from shared.prometheus import MULTIPROCESS
from shared.settings.config import load_settings
from shared.traces.environment import destination


def api(host: str, port: int, processes: int, fd: int | None) -> None:
    """Serve the api on an address, or on an inherited socket, until SIGTERM; SIGHUP replaces its processes."""
    environment = dict(os.environ)  # without what DESKBELL_ENV_FILE adds: each process reads that file itself
    settings = load_settings()
    configure_logs(settings.log_format)
    settings.require_authentication()  # refused here, once, and not by each process
    refuse_cluster(settings)
    destination()
    if settings.shards:
        environment[RQ_KEY_PREFIX] = rq_prefix(0)  # what concerns all shards, such as counts, is on the first
    listener = open_listener(host, port, fd, processes)
    with ExitStack() as stack:
        folder = None
        if processes > 1:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="deskbell-metrics-"))
            environment[MULTIPROCESS] = folder  # whichever process answers /metrics, it adds up all of them
        supervisor = Supervisor(
            ["api", "--fd", str(listener.fileno())],
            [environment] * processes,
            grace_seconds=settings.grace_seconds,
            listener=listener,
            forget=lambda pid: folder and mark_process_dead(pid, folder),  # type: ignore[no-untyped-call]
        )
        status = supervisor.run()
    sys.exit(status)
