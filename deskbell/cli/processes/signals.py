"""Signals: one that was ignored when the process began stays ignored, as `nohup` and scripts ask for."""

import signal
from collections.abc import Callable
from typing import Never

from shared.logs import EndedBySignal

Handler = Callable[..., object]


def handle_signals(handler: Handler, *numbers: signal.Signals) -> None:
    """Set a handler for signals, except those that this process was started to ignore."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def end_cleanly(*_: object) -> Never:
    """A signal's handler: end this process with status 0."""
    raise EndedBySignal(0)


def end_with_status(number: int, _: object) -> Never:
    """A signal's handler: end this process with the status that shells give one that a signal has ended."""
    raise EndedBySignal(128 + number)


def end_on_signals() -> None:
    """Let SIGTERM end this process as an exception does, as Ctrl-C does already: then a stack ends what it started.

    So does the end of the terminal: its SIGHUP would end this process alone and leave the others running.
    """
    handle_signals(end_with_status, signal.SIGTERM, signal.SIGHUP)
