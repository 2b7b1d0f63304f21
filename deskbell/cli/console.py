"""`deskbell console`: the operator's page, in a process of its own; and the hashes of its users' passwords."""

import getpass
import signal
import sys

from deskbell.cli.exit import stop
from deskbell.cli.processes.listening import open_listener
from deskbell.cli.settings.running import load_settings_here
from deskbell.cli.shards import is_of_all_shards
from shared.errors import ConfigError
from shared.logs import configure_logs

_NEEDS_CONSOLE = "this needs the extra console: pip install 'deskbell[console]'"

try:
    from console.access.passwords import SHORTEST, hash_password
    from console.server import check_address, serve
    from console.state import State
except ModuleNotFoundError as error:
    raise ConfigError(_NEEDS_CONSOLE) from error


def console(host: str, port: int, fd: int | None, rq_dashboard: str) -> None:
    """Serve the console until SIGTERM."""
    settings = load_settings_here()
    if is_of_all_shards() and rq_dashboard:
        raise ConfigError("--rq-dashboard: rq-dashboard shows one shard: expected --shard 0, or another, beside it")
    if rq_dashboard and not rq_dashboard.startswith(("http://", "https://")):
        raise ConfigError(f"--rq-dashboard: expected a URL that begins with http:// or https://, got {rq_dashboard!r}")
    configure_logs(settings.log_format)
    state = State.of_all_shards(settings, rq_dashboard) if is_of_all_shards() else State(settings, rq_dashboard)
    listener = open_listener(host, port, fd, permit=lambda address: check_address(settings, address))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    serve(listener, state)


def print_hash() -> None:
    """Ask for a password, twice on a terminal, and print its hash."""
    if sys.stdin.isatty():
        password = getpass.getpass("password: ")
        if getpass.getpass("again: ") != password:
            stop("expected the same password twice")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST:
        stop(f"expected a password of {SHORTEST} characters or more, got {len(password)}")
    print(hash_password(password))  # noqa: T201 - what a command line is for
