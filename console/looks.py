"""What `deskbell doctor` finds beside the queues, in a thread: it takes seconds, and no page waits for it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from deskbell.queues.findings import Finding
from shared.logs import get_log

_AGAIN_SECONDS = 30.0


@dataclass
class Looks:
    """Looks again when somebody asks and the last look is old.

    Attributes:
        find: finds it.
    """

    find: Callable[[], list[Finding]]
    _found: list[Finding] = field(default_factory=list)
    _looked: float = 0.0
    _began: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def last(self) -> tuple[list[Finding], float]:
        """What the last look found, and when it was, in Unix seconds; 0 when the first is under way."""
        with self._lock:
            if time.time() - self._began > _AGAIN_SECONDS:
                self._began = time.time()
                threading.Thread(target=self._look, name="doctor", daemon=True).start()
            return self._found, self._looked

    def _look(self) -> None:
        try:
            found = self.find()
        except Exception as error:  # noqa: BLE001 - the page says when the last look was
            get_log().error("console_failed", path="doctor", error=error)
            return
        with self._lock:
            self._found, self._looked = found, time.time()
