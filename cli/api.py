"""`deskbell api`: the HTTP process."""

import os
import socket
import tempfile

from api.metrics import MULTIPROCESS
from cli.errors import stop
from cli.serving import listen, serve
from shared.config import load_settings
from shared.loading import load_callbacks
from shared.logs import configure_logs, get_log


def api(host: str, port: int, processes: int, fd: int | None) -> None:
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
    get_log().info(
        "listening",
        host=address[0],
        port=address[1],
        processes=processes,
        handlers=[handler.name for handler in callbacks.handlers],
    )
    if processes == 1:
        serve("api.app:app_from_environment", listener, processes)
        return
    with tempfile.TemporaryDirectory(prefix="deskbell-metrics-") as folder:
        os.environ[MULTIPROCESS] = folder  # whichever process /metrics reaches, it counts for all
        serve("api.app:app_from_environment", listener, processes)
