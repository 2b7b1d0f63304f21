"""The handlers of `make bench-hang`: some answer at once, and some hang when a call says so."""

import asyncio
import time
import uuid

from deskbell import Callbacks

HANG_SECONDS = 1.4  # beyond the handler's second; 20 calls a second that hang so long keep 28 of 32 threads busy
callbacks = Callbacks()


@callbacks.api_call("summary", fallback={"testKey1": "unknown"})
async def summary(staticKey: str, testKey3: str) -> dict[str, str]:
    return {"testKey1": "value1"}


@callbacks.api_call
async def token() -> dict[str, str]:
    return {"Token": str(uuid.uuid4())}  # another one each time: a duplicate must get the first one's


@callbacks.api_call
async def quick(Hang: str) -> dict[str, str]:
    return {"Hung": Hang}


@callbacks.api_call
def quick_def(Hang: str) -> dict[str, str]:
    return {"Hung": Hang}


@callbacks.api_call(fallback={"Hung": "unknown"})
async def maybe_async(Hang: str) -> dict[str, str]:
    await asyncio.sleep(3600 if Hang == "1" else 0)
    return {"Hung": Hang}


@callbacks.api_call(fallback={"Hung": "unknown"})
async def hang_async(Hang: str) -> dict[str, str]:
    await asyncio.sleep(3600 if Hang == "1" else 0)
    return {"Hung": Hang}


@callbacks.api_call(fallback={"Hung": "unknown"})
def maybe_def(Hang: str) -> dict[str, str]:
    time.sleep(HANG_SECONDS if Hang == "1" else 0)
    return {"Hung": Hang}


@callbacks.api_call(fallback={"Hung": "unknown"})
def hang_def(Hang: str) -> dict[str, str]:
    time.sleep(HANG_SECONDS if Hang == "1" else 0)
    return {"Hung": Hang}
