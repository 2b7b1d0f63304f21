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
    """Serve handlers on a free port of this machine; its URL. It can be called at once.

    Args:
        settings: the api's.
        callbacks: the handlers.
        connections: those of the server; by default what the settings mean.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        server = Server(partial(create_app, settings, callbacks), connections or connections_of(settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="api")
        thread.start()
        try:
            yield "http://{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join()
