"""A `deskbell dev` that runs in a folder, and what it prints."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import httpx

from deskbell.cli.defaults import DEV_APP, DEV_TOKEN
from deskbell.testing import packet, signed_query
from shared.wire.protocol import API_CALL
from tests.forked import Forked
from tests.processes import PATIENT, unmeasured
from tests.waiting import until


class Running:
    """A `deskbell dev`, and what it has printed so far."""

    def __init__(self, process: Forked, stdout: TextIO) -> None:
        self.process = process
        self._stdout = stdout
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """All that it has printed."""
        return "".join(self._lines)

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until it has printed something."""
        found = until(lambda: re.search(pattern, self.output, re.MULTILINE) or self.process.poll() is not None)
        assert isinstance(found, re.Match), self.output
        return found

    def call(self, node: str, **variables: str) -> str:
        """Call a node; the answer."""
        url = self.until(r"callback +(\S+)$")[1]
        query = signed_query(DEV_APP, DEV_TOKEN, API_CALL)
        return httpx.post(f"{url}/{node}?{query}", json=packet(**variables), timeout=30).text

    def end(self) -> int:
        """End it with Ctrl-C, unless it has ended; its status."""
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(60)
        self._reader.join(30)
        return status

    def _read(self) -> None:
        for line in self._stdout:
            self._lines.append(line)


@contextmanager
def running(folder: Path, *options: str, **settings: str) -> Iterator[Running]:
    """`deskbell dev` in a folder."""
    reader, writer = os.pipe()
    with os.fdopen(reader, encoding="utf-8") as stdout, os.fdopen(writer, "wb") as theirs:
        env = unmeasured(**PATIENT, **settings)
        process = Forked(("dev", *options), env, folder, stdout=theirs, stderr=theirs)
        theirs.close()
        dev = Running(process, stdout)
        try:
            yield dev
        finally:
            dev.end()
