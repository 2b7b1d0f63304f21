"""What is logged while a test runs, as it would be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.logs import expanded, lines_go_to


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """The lines that are logged within the context, each with its `event` and its `log_level`."""
    lines: list[dict[str, Any]] = []

    def keep(level: str, event: str, fields: dict[str, Any]) -> None:
        lines.append({"event": event, "log_level": level} | expanded(fields))

    with lines_go_to(keep):
        yield lines
