"""An api in a thread of this process, over real HTTP: what a test replaces in a handler's module, the handler sees."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from api.app import create_app
from api.server.connections import Connections
from api.server.server import Server, connections_of
from shared.handlers.callbacks import Callbacks
from shared.settings.config import Settings


@contextmanager
def serving(settings: Settings, callbacks: Callbacks, connections: Connections | None = None) -> Iterator[str]:
    """Serve handlers on a free port of this machine; its URL.

    Args:
        settings: the api's.
        callbacks: the handlers.
        connections: those of the server; by default what the settings mean.

    Raises:
        LifespanError: a lifespan of the handlers did not start.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        server = _ThreadServer(settings, callbacks, connections or connections_of(settings))
        thread = threading.Thread(target=server.serve_on, args=(listener,), name="api")
        thread.start()
        try:
            server.is_up.wait()
            if server.error:
                raise server.error
            yield "http://{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join()


class _ThreadServer(Server):
    """A server that says when it has started, or why it has not."""

    def __init__(self, settings: Settings, callbacks: Callbacks, connections: Connections) -> None:
        make_app, lifespan = partial(create_app, settings, callbacks), callbacks.lifespans.entered(settings)
        super().__init__(make_app, connections, lifespan=lifespan)
        self.is_up = threading.Event()
        self.error: BaseException | None = None

    def serve_on(self, listener: socket.socket) -> None:
        """Serve until `should_exit`."""
        try:
            self.run(sockets=[listener])
        except BaseException as error:  # noqa: BLE001 - raised where the test waits
            self.error = error
        finally:
            self.is_up.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self.is_up.set()
