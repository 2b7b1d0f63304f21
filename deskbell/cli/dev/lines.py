"""What the processes write: a thread for each pipe, which puts lines onto one queue."""

import json
import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import IO, Any

from shared.redaction import terminal_text


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a process.

    Attributes:
        process: its name in the stack.
        text: as it came, without control characters.
        entry: the fields of a log line; None for any other text, such as what the integrator's code prints.
    """

    process: str
    text: str
    entry: dict[str, Any] | None

    @property
    def event(self) -> str:
        """The log event; "" of any other text."""
        return str(self.entry["event"]) if self.entry else ""


def read_lines(queue: SimpleQueue[Any], process: str, pipe: IO[bytes]) -> None:
    """Put the lines of a process onto a queue until all that write to the pipe have ended."""

    def read() -> None:
        with pipe:
            for written in pipe:
                queue.put(line_of(process, written.decode(errors="replace").rstrip()))

    threading.Thread(target=read, name=f"output of {process}", daemon=True).start()


def line_of(process: str, text: str) -> Line:
    """A line as it was written."""
    entry = None
    if text.startswith("{"):
        try:
            read = json.loads(text)
        except ValueError:
            read = None
        entry = read if isinstance(read, dict) and isinstance(read.get("event"), str) else None
    return Line(process, terminal_text(text.replace("\t", "    ")), entry)
