"""Signal handlers. A signal that was ignored when the process started stays ignored, as `nohup` asks for."""

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
    """A signal's handler: end this process with the status that shells give a process ended by that signal."""
    raise EndedBySignal(128 + number)


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP end this process by an exception, as Ctrl-C does, so that a stack ends what it started.

    SIGHUP comes when the terminal is closed; it would end this process alone and leave the others running.
    """
    handle_signals(end_with_status, signal.SIGTERM, signal.SIGHUP)
