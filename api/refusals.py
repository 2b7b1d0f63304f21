"""Refusals, counted by cause, and logged so that a flood of them is a line a second."""

import asyncio
from typing import Any

from api.errors import Refusal
from api.metrics import Metrics
from shared.logs import get_log

_SECONDS = 1.0


class Refusals:
    """Logs the first refusal of a cause at once; those of the second that follows in one line, at its end.

    A cause that concerns one of our apps is logged for each app apart.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = get_log()
        self._held: dict[tuple[str, str], dict[str, Any]] = {}

    def note(self, refusal: Refusal, **fields: Any) -> None:
        """Count a refusal, and log it now or with those that follow.

        Args:
            refusal: what was refused, and why.
            **fields: what else the line says; of several, the last refusal's.
        """
        self._metrics.refused.labels(refusal.cause).inc()
        if "skew_seconds" in refusal.details:
            self._metrics.clock_skew.set(refusal.details["skew_seconds"])
        line = fields | refusal.details | {"outcome": refusal.cause, "reason": refusal.info}
        key = (refusal.cause, refusal.details.get("app", ""))
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
        asyncio.get_running_loop().call_later(_SECONDS, self._end_second, key)

    def _end_second(self, key: tuple[str, str]) -> None:
        held = self._held.pop(key, None)
        if held:
            self._write(key, held)
