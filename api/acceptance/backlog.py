"""Reads what waits on this host's disk, in the files of all processes, with a time limit.

A disk that hangs takes one thread, however often it is asked, and none of the event loop's own, which resolve names.
"""

import asyncio
import time
from pathlib import Path

from api.acceptance.spool import Survey, survey
from shared.runtime.threads import DaemonThreads


class BacklogReader:
    """Reads the spool's folder in a thread of its own."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder.absolute()
        self._seconds = seconds  # that a reader waits for the disk
        self._disk = DaemonThreads(most=1)
        self._reading: asyncio.Future[Survey] | None = None

    def close(self) -> None:
        """End the thread when it has read what it is reading."""
        self._disk.close()

    async def read(self) -> Survey | None:
        """What waits; None while the disk does not answer."""
        if self._reading is None or self._reading.done():
            self._reading = self._disk.run(lambda: survey(self._folder))
        reading = self._reading
        await asyncio.wait({reading}, timeout=self._seconds)
        return None if not reading.done() or reading.exception() else reading.result()


def age(oldest: float | None) -> float | None:
    """Seconds since a time; 0 if the clock has been put back since."""
    return None if oldest is None else round(max(0.0, time.time() - oldest), 1)
