"""One process of `deskbell api`."""

import socket

from api.app import create_app
from api.server.server import serve
from deskbell.cli.processes.listening import open_listener
from shared.loading import load_callbacks
from shared.logs import configure_logs, get_log
from shared.prometheus import make_shared_folder
from shared.runtime.parent import Parent
from shared.settings.config import Settings, load_settings
from shared.traces.sending import sending_traces


def serve_api(host: str, port: int, fd: int | None, parent: Parent | None) -> None:
    """Be one process of `deskbell api`."""
    settings = load_settings()
    configure_logs(settings.log_format)
    listener = socket.socket(fileno=fd) if parent else open_listener(host, port, fd)
    with sending_traces("deskbell-api"):
        _serve(settings, listener, parent)


def _serve(settings: Settings, listener: socket.socket, parent: Parent | None) -> None:
    callbacks = load_callbacks(settings)
    names = [handler.name for handler in callbacks.handlers]
    get_log().info("serving", handlers=names, env_file=str(settings.env_file or ""))
    make_shared_folder()
    lifespan = callbacks.lifespans.entered(settings)
    serve(lambda: create_app(settings, callbacks, parent), settings, listener, parent, lifespan)
