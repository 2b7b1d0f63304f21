"""A light load on the published port of the api, in a process that can enter the network of the engine's host.

1. Ten deliveries a second; the user of each is its number.
2. What is not acknowledged is sent again, as the same delivery, until it is; then its user is printed.
3. From SIGTERM on nothing new is begun; the process ends when all are acknowledged.
"""

import asyncio
import json
import signal
import sys

from bench.pace import Sender, http_post
from deskbell.testing import signed_query
from shared.wire.protocol import API_CALL

_SECONDS_BETWEEN, _SECONDS_BEFORE_AGAIN = 0.1, 0.5
_MOST_SECONDS = 600  # also when nobody is left to end it
_OK = 200


async def deliver(sender: Sender, app: str, token: str, number: int) -> None:
    """Send a delivery until it is acknowledged."""
    user = f"light-{number}"
    packet = {
        "CallbackCommand": API_CALL,
        "Body": {"SystemClientUserID": user, "SystemSessionID": user, "OrderID": "1002"},
        "EventTime": 1731488371784 + number,
    }
    while True:
        query = signed_query(app, token, API_CALL, request_id=user)
        answer = await sender.send(number, http_post(f"/callback/order_status?{query}", json.dumps(packet).encode()))
        if answer.status == _OK and json.loads(answer.body)["ErrorCode"] == 0:
            break
        await asyncio.sleep(_SECONDS_BEFORE_AGAIN)
    print(user, flush=True)  # noqa: T201 - read by the test


async def main(port: int, app: str, token: str) -> None:
    """Send until SIGTERM."""
    ends = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ends.set)
    sender = Sender(port, patience=5)
    async with asyncio.timeout(_MOST_SECONDS), asyncio.TaskGroup() as deliveries:
        number = 0
        while not ends.is_set():
            deliveries.create_task(deliver(sender, app, token, number))
            number += 1
            await asyncio.sleep(_SECONDS_BETWEEN)
    sender.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
