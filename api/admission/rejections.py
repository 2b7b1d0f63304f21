"""Counts rejections by cause and logs them, a flood of them as one line a second."""

import asyncio
from typing import Any

from api.errors import Rejection
from api.metrics import Metrics
from shared.logs import get_log

LINE_SECONDS = 1.0


class RejectionLog:
    """Logs the first rejection of a cause at once, and those of the following second in one line at its end.

    A cause that concerns one of our apps has lines of its own for each app.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = get_log()
        self._held: dict[tuple[str, str], dict[str, Any]] = {}

    def record(self, rejection: Rejection, **fields: Any) -> None:
        """Count a rejection, and log it now or with those that follow."""
        self._metrics.refused.labels(rejection.cause).inc()
        self._metrics.history.count("refused", rejection.cause, rejection.details.get("app", ""), 1)
        if "skew_seconds" in rejection.details:
            self._metrics.clock_skew.set(rejection.details["skew_seconds"])
        line = fields | rejection.details | {"outcome": rejection.cause, "reason": rejection.info}
        key = (rejection.cause, rejection.details.get("app", ""))
        if key in self._held:
            held = self._held[key]
            self._held[key] = line | {"times": held["times"] + 1 if held else 1}
        else:
            self._write(key, line | {"times": 1})

    def close(self) -> None:
        """Log what is held back."""
        for line in self._held.values():
            if line:
                self._log.info("refused", **line)
        self._held.clear()

    def _write(self, key: tuple[str, str], line: dict[str, Any]) -> None:
        self._log.info("refused", **line)
        self._held[key] = {}
        asyncio.get_running_loop().call_later(LINE_SECONDS, self._end_second, key)

    def _end_second(self, key: tuple[str, str]) -> None:
        held = self._held.pop(key, None)
        if held:
            self._write(key, held)
