"""The process: uvicorn's server, which ends with status 0 when it is told to."""

import gc
import socket
import sys
import threading
from types import FrameType

import uvicorn

from console.app import create_app
from console.state import State
from shared.errors import ConfigError
from shared.runtime.open_files import raise_file_limit
from shared.settings.config import Settings
from shared.settings.environment import PREFIX

_LOOPBACK = ("127.", "::1")
_PREPARE_SECONDS = 10.0
"""For which browsers wait when a console starts; then pages are served, even if an import hangs."""

_SWITCH_SECONDS = 0.0005
"""After which a thread that counts dead letters gives way: requests need the interpreter again after each answer of
Redis, and would wait for ten times as long by default."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self._state = state
        state.streams.is_ending = lambda: self.should_exit

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to end; then end what is done in the background."""
        try:
            super().run(sockets)
        finally:
            self._state.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's form
        """Begin to stop; uvicorn's own would have the signal raised once more in the end, and with it a bad status."""
        self.force_exit = self.should_exit
        self.should_exit = True


def check_address(settings: Settings, address: str) -> None:
    """Refuse to serve others than this machine while nobody has to sign in.

    Raises:
        ConfigError: there are no users, and the address, or a proxy, lets others reach it.
    """
    if settings.console_users:
        return
    users = f"set {PREFIX}CONSOLE_USERS, with passwords that `deskbell hash-password` prints"
    if not address.startswith(_LOOPBACK):
        raise ConfigError(f"--host: expected 127.0.0.1 while nobody has to sign in, got {address}; or {users}")
    if settings.console_url:
        raise ConfigError(f"{PREFIX}CONSOLE_URL: expected none while nobody has to sign in; {users}")


def serve(listener: socket.socket, state: State) -> None:
    """Serve the console on a socket until SIGTERM."""
    raise_file_limit()
    sys.setswitchinterval(_SWITCH_SECONDS)
    preparing = threading.Thread(target=state.prepare, name="prepare", daemon=True)
    preparing.start()
    preparing.join(_PREPARE_SECONDS)
    gc.freeze()  # what has been read stays: it need not be looked through each time that garbage is collected
    _server(state).run(sockets=[listener])


def serve_in_thread(
    listener: socket.socket, settings: Settings, rq_dashboard: str = ""
) -> tuple[uvicorn.Server, threading.Thread]:
    """Serve it in a thread of this process, until the server's `should_exit` is set."""
    server = _server(State(settings, rq_dashboard))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="console", daemon=True)
    thread.start()
    return server, thread


def _server(state: State) -> uvicorn.Server:
    config = uvicorn.Config(
        create_app(state),
        loop="asyncio",
        http="h11",  # bounds the headers of a request; httptools would keep whatever comes
        ws="none",
        lifespan="off",
        access_log=False,  # it would log what is searched for
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=state.settings.grace_seconds,
    )
    return _Server(config, state)
