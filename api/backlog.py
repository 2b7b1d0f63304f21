"""What waits on this host's disk, of all processes and of those that died, read without waiting for the disk.

A disk that hangs takes one thread, however often it is asked, and none of those that names are resolved in.
"""

import asyncio
from pathlib import Path

from api.spool import Survey, survey
from shared.threads import Threads


class Backlog:
    """Reads the spool's folder in a thread of its own."""

    def __init__(self, folder: Path, seconds: float) -> None:
        """Prepare.

        Args:
            folder: the spool.
            seconds: how long a reader waits for the disk.
        """
        self._folder = folder.absolute()
        self._seconds = seconds
        self._disk = Threads(most=1)
        self._reading: asyncio.Future[Survey] | None = None

    def close(self) -> None:
        """End when what is being read has been."""
        self._disk.close()

    async def read(self) -> Survey | None:
        """What waits; None while the disk does not answer."""
        if self._reading is None or self._reading.done():
            self._reading = self._disk.run(lambda: survey(self._folder))
        reading = self._reading
        await asyncio.wait({reading}, timeout=self._seconds)
        return None if not reading.done() or reading.exception() else reading.result()
