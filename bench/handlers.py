from shared import Callbacks

callbacks = Callbacks()


@callbacks.api_call("summary", fallback={"testKey1": "unknown"})
async def summary(staticKey: str, testKey3: str) -> dict[str, str]:
    return {"testKey1": "value1"}
