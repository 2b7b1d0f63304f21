"""When a request began: the budget counts from its first byte, not from the moment the app is called."""

import asyncio

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_BEGAN = "deskbell.began"


class TimedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also notes the event loop's time at which a request's first byte was read.

    A request may wait behind another on its connection, and its headers may come slowly.
    """

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope[_BEGAN] = self.loop.time()  # type: ignore[literal-required]  # ASGI lets servers add keys


def began(scope: Scope) -> float:
    """The event loop's time at which a request's first byte was read; the present under another server."""
    return float(scope.get(_BEGAN) or asyncio.get_running_loop().time())
