"""Callbacks at a steady rate before, during and after a fault."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from bench.chaos.deliveries import Deliveries, Span
from bench.pace import Answer, Sender, pace

_MOST_SECONDS = 120.0
_PATIENCE_SECONDS = 5.0
_AGAIN = 3


async def drive(
    address: int | Path,
    deliveries: Deliveries,
    inject: Callable[[], AbstractContextManager[object]],
    rate: float,
    seconds: float,
    around: float,
    is_answered: Callable[[Answer], object],
) -> tuple[list[Answer], Span]:
    """Send callbacks while the fault lasts; then repeat those that were not answered, as a sender does.

    Args:
        address: a port, or a Unix socket.
        deliveries: what is sent.
        inject: the fault, once it is to begin.
        rate: callbacks a second.
        seconds: how long the fault lasts.
        around: seconds of callbacks before it and after it.
        is_answered: whether a sender is content with an answer.

    Returns:
        All answers, and when the fault was.
    """
    sender = Sender(address, _PATIENCE_SECONDS)
    over = asyncio.Event()
    sending = asyncio.create_task(pace(sender, deliveries.request, rate, _MOST_SECONDS, is_over=over.is_set))
    await asyncio.sleep(around)
    injected = inject()
    begins = time.monotonic()
    await asyncio.to_thread(injected.__enter__)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(injected.__exit__, None, None, None)
    span = Span(begins, time.monotonic())
    await asyncio.sleep(around)
    over.set()
    answers = await sending
    for number in [each.number for each in answers if not is_answered(each)]:
        for _ in range(_AGAIN):
            answer = await sender.send(number, deliveries.request(number))
            if is_answered(answer):
                break
        answers.append(answer)
    sender.close()
    return answers, span
