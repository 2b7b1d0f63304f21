"""Refusals, counted by cause, and logged so that a flood of them is a line a second."""

import asyncio
from typing import Any

from api.errors import Refusal
from api.metrics import Metrics
from shared.logs import get_log

_SECONDS = 1.0


class Refusals:
    """Logs the first refusal of a cause at once; those of the second that follows in one line, at its end."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = get_log()
        self._held: dict[str, dict[str, Any]] = {}

    def note(self, refusal: Refusal, **fields: Any) -> None:
        """Count a refusal, and log it now or with those that follow.

        Args:
            refusal: what was refused, and why.
            **fields: what else the line says; of several, the last refusal's.
        """
        self._metrics.refused.labels(refusal.cause).inc()
        if "skew_seconds" in refusal.details:
            self._metrics.clock_skew.set(refusal.details["skew_seconds"])
        line = {"outcome": refusal.cause, "reason": refusal.info, **fields, **refusal.details}
        if refusal.cause in self._held:
            held = self._held[refusal.cause]
            self._held[refusal.cause] = line | {"times": held["times"] + 1 if held else 1}
        else:
            self._write(refusal.cause, line | {"times": 1})

    def _write(self, cause: str, line: dict[str, Any]) -> None:
        self._log.info("refused", **line)
        self._held[cause] = {}
        asyncio.get_running_loop().call_later(_SECONDS, self._end_second, cause)

    def _end_second(self, cause: str) -> None:
        held = self._held.pop(cause)
        if held:
            self._write(cause, held)
