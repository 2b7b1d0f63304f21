"""UserSig: the signature by which Tencent knows an account of an app (PROTOCOL §5).

It is HMAC-SHA256, keyed with the app's secret key, in a JSON object, compressed, in base64 with other signs. Whoever
has one acts as the account until it expires: it stands in the query of each request, and so the query reaches no log.
"""

import base64
import binascii
import hmac
import json
import time
import zlib
from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

SECONDS = 3600
"""How long one is valid: requests are made with it for most of that time, and a leaked one is worthless soon."""

_RENEWED_BEFORE_SECONDS = 600  # more than a request takes, and more than clocks differ
_SIGNS = str.maketrans("+/=", "*-_")
_BASE64 = str.maketrans("*-_", "+/=")
_MOST_BYTES = 4096


class UserSigs:
    """The UserSig of one account, made anew before it expires. Neither the key nor a UserSig is in its `repr`."""

    def __init__(self, app_id: str, key: SecretStr, identifier: str, *, clock: Callable[[], float] = time.time) -> None:
        self._app_id = app_id
        self._key = key
        self._identifier = identifier
        self._clock = clock
        self._made, self._until = "", 0.0

    def current(self) -> str:
        """One that is valid for some minutes more."""
        now = self._clock()
        if not self._until - SECONDS <= now < self._until - _RENEWED_BEFORE_SECONDS:  # the clock may have been set back
            key = self._key.get_secret_value()
            self._made = user_sig(self._app_id, key, self._identifier, now=int(now), seconds=SECONDS)
            self._until = int(now) + SECONDS
        return self._made

    def forget(self) -> None:
        """Make the next one anew: Tencent did not take this one."""
        self._until = 0.0


def user_sig(app_id: str, key: str, identifier: str, *, now: int, seconds: int = SECONDS) -> str:
    """A UserSig, byte for byte as Tencent's own package makes it.

    Args:
        app_id: the SdkAppid.
        key: the app's secret key.
        identifier: the account; REST commands need an administrator's.
        now: Unix seconds at which its validity begins.
        seconds: how long it is valid.
    """
    fields = {
        "TLS.ver": "2.0",
        "TLS.identifier": identifier,
        "TLS.sdkappid": int(app_id),
        "TLS.expire": seconds,
        "TLS.time": now,
        "TLS.sig": signature(app_id, key, identifier, now, seconds),
    }
    return base64.b64encode(zlib.compress(json.dumps(fields).encode())).decode().translate(_SIGNS)


def signature(app_id: str, key: str, identifier: str, now: int, seconds: int) -> str:
    """`TLS.sig`."""
    text = f"TLS.identifier:{identifier}\nTLS.sdkappid:{app_id}\nTLS.time:{now}\nTLS.expire:{seconds}\n"
    return base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha256")).decode()


def read_user_sig(text: str) -> dict[str, Any]:
    """What a UserSig says, unchecked; empty if it is none."""
    try:
        packed = base64.b64decode(text.translate(_BASE64), validate=True)
        fields = json.loads(zlib.decompressobj().decompress(packed, _MOST_BYTES))
    except (ValueError, binascii.Error, zlib.error):
        return {}
    return fields if isinstance(fields, dict) else {}
