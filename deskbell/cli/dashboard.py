"""`deskbell dashboard`: rq-dashboard on the Redis that the settings name.

rq-dashboard's own command takes a URL, but with Sentinel neither users nor TLS, and its `--json` does not reach the
page of workers, which fails while a worker is busy.
"""

import logging
import signal
import socket
import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

from rq import Worker
from rq.job import Job
from rq.serializers import JSONSerializer

from deskbell.cli.exit import stop
from deskbell.cli.processes.listening import open_listener
from deskbell.cli.processes.signals import end_cleanly, handle_signals
from deskbell.cli.processes.waiting import wait_for_redis
from shared.errors import ConfigError
from shared.logs import configure_logs
from shared.redis.connections import connect
from shared.settings.config import Settings, load_settings


def dashboard(host: str, port: int, username: str | None, password: str | None) -> None:
    """Serve rq-dashboard until SIGTERM, behind a password where one is given."""
    if bool(username) != bool(password):
        stop("expected both RQ_DASHBOARD_USERNAME and RQ_DASHBOARD_PASSWORD, or neither")
    settings = load_settings()
    configure_logs(settings.log_format)
    wait_for_redis(settings)
    listener = open_listener(host, port)
    server = _server(listener, settings, username, password)
    handle_signals(end_cleanly, signal.SIGTERM)
    server.serve_forever()


def serve_dashboard(listener: socket.socket, settings: Settings) -> Any:
    """Serve rq-dashboard in a thread of this process."""
    server = _server(listener, settings)
    threading.Thread(target=server.serve_forever, name="rq-dashboard", daemon=True).start()
    return server


def dashboard_app(settings: Settings, username: str | None = None, password: str | None = None) -> Any:
    """rq-dashboard as a Flask app.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from rq_dashboard import web  # noqa: PLC0415 - an extra
        from rq_dashboard.cli import make_flask_app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigError("this needs the extra dashboard: pip install 'deskbell[dashboard]'") from error
    connection = connect(settings)
    web.from_url = lambda *_, **__: (None, connection)
    web.config.serializer = JSONSerializer
    web.Job = _ShownJob
    web.Worker = SimpleNamespace(all=partial(Worker.all, job_class=_ShownJob, serializer=JSONSerializer))
    app = make_flask_app(None, username, password, "")
    app.config["RQ_DASHBOARD_REDIS_URL"] = "Redis"  # shown on the page: the URL may hold a password
    web.setup_rq_connection(app)
    return app


class _ShownJob(Job):
    """A job as rq-dashboard 0.9 can show it."""

    def get_call_string(self) -> str:
        """The description instead of the call: the arguments are what a customer wrote."""
        return str(self.description)

    @property
    def dependency_ids(self) -> list[Any]:
        """The jobs it depends on, as bytes, which they were before RQ 3."""
        return [dependency_id.encode() for dependency_id in self._dependency_ids]


def _server(
    listener: socket.socket, settings: Settings, username: str | None = None, password: str | None = None
) -> Any:
    app = dashboard_app(settings, username, password)
    from werkzeug.serving import make_server  # noqa: PLC0415 - comes with the extra

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    address, port = listener.getsockname()[:2]
    return make_server(address, port, app, threaded=True, fd=listener.fileno())
