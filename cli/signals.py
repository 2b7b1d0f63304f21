"""Signals: one that was ignored when the process began stays ignored, as `nohup` and scripts ask for."""

import signal
from collections.abc import Callable

Handler = Callable[..., object]


def heed(handler: Handler, *numbers: signal.Signals) -> None:
    """Have signals handled, except those that this process was started to ignore."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
