"""The query that Tencent appends to a callback's URL, signed (PROTOCOL §1, §2)."""

import time
import uuid
from urllib.parse import urlencode

from shared.wire.protocol import sign


def signed_query(
    app_id: str, token: str | None, command: str, *, now: float | None = None, request_id: str | None = None
) -> str:
    """The query string that Tencent appends to a callback's URL (PROTOCOL §1, §2).

    Args:
        app_id: the `SdkAppid`.
        token: the app's token; None sends no `Sign`.
        command: the `CallbackCommand`, which must agree with the body's.
        now: Unix seconds; the present by default.
        request_id: the `RequestID`; a new one by default.
    """
    query = {
        "SdkAppid": app_id,
        "CallbackCommand": command,
        "contenttype": "json",
        "ClientIP": "127.0.0.1",
        "OptPlatform": "Web",
        "RequestID": request_id or str(uuid.uuid4()),
    }
    if token is not None:
        request_time = str(int(time.time() if now is None else now))
        query |= {"Sign": sign(token, request_time), "RequestTime": request_time}
    return urlencode(query)
