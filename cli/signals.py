"""Signals: one that was ignored when the process began stays ignored, as `nohup` and scripts ask for."""

import signal
from collections.abc import Callable
from typing import Never

from shared.logs import EndedBySignal

Handler = Callable[..., object]


def heed(handler: Handler, *numbers: signal.Signals) -> None:
    """Have signals handled, except those that this process was started to ignore."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def end_cleanly(*_: object) -> Never:
    """A signal's handler: end this process with status 0."""
    raise EndedBySignal(0)


def end_with_status(number: int, _: object) -> Never:
    """A signal's handler: end this process with the status that shells give one that a signal has ended."""
    raise EndedBySignal(128 + number)
