"""`deskbell api`: the HTTP process."""

import os
import socket
import sys
import tempfile
from pathlib import Path

from api.app import create_app
from api.metrics import MULTIPROCESS
from cli.errors import stop
from cli.replacing import Processes
from cli.serving import listen, serve
from shared.config import load_settings
from shared.loading import load_callbacks
from shared.logs import configure_logs, get_log


def api(host: str, port: int, processes: int, fd: int | None, parent_fd: int | None) -> None:
    """Serve the api on an address, or on an inherited socket, until SIGTERM."""
    settings = load_settings()
    configure_logs(settings.log_format)
    callbacks = load_callbacks(settings)
    settings.check_doors()  # refuses here, once, what each process would refuse
    try:
        listener = listen(host, port) if fd is None else socket.socket(fileno=fd)
        address = listener.getsockname()
    except OSError as error:
        stop(f"cannot listen on {host}:{port}: {error.strerror}" if fd is None else f"--fd {fd}: {error.strerror}")
    if parent_fd is None:
        get_log().info(
            "listening",
            host=address[0],
            port=address[1],
            processes=processes,
            handlers=[handler.name for handler in callbacks.handlers],
        )
    if processes == 1:
        parent = None if parent_fd is None else socket.socket(fileno=parent_fd)
        if MULTIPROCESS in os.environ:
            Path(os.environ[MULTIPROCESS]).mkdir(exist_ok=True)  # somebody may have tidied up
        serve(lambda: create_app(settings, callbacks), settings, listener, parent)
        return
    with tempfile.TemporaryDirectory(prefix="deskbell-metrics-") as folder:
        os.environ[MULTIPROCESS] = folder  # whichever process /metrics reaches, it counts for all
        status = Processes(listener, processes, settings.grace_seconds).run()
    sys.exit(status)
