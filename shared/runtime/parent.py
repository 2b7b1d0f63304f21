"""The supervisor as one of its processes knows it: the other end of a socket pair."""

import socket
import time
from contextlib import suppress

KEPT = b"0"
"""What the supervisor says to a process that goes on after SIGHUP, since its successor did not start."""


class Parent:
    """The supervisor.

    Attributes:
        kept_at: when it last said that no successor starts, so that this process goes on with settings and code of
            before, in Unix seconds; 0 where it has not.
    """

    def __init__(self, pair: socket.socket) -> None:
        self._pair = pair
        self._pair.setblocking(False)
        self.kept_at = 0.0

    def fileno(self) -> int:
        """What can be waited for: it can be read when the supervisor says something, or is gone."""
        return self._pair.fileno()

    def say_ready(self) -> None:
        """Tell the supervisor that settings and code are loaded; one that is gone is noticed elsewhere."""
        with suppress(OSError):
            self._pair.send(b"1")

    def is_gone(self) -> bool:
        """Read what it says; whether it has died without telling this process to end."""
        try:
            said = self._pair.recv(64)
        except BlockingIOError:
            return False
        except OSError:
            return True
        if said:  # KEPT, once or more
            self.kept_at = time.time()
        return not said
