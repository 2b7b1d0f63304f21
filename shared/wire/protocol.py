"""The wire: what Tencent Cloud Desk sends and accepts. `PROTOCOL` in the comments is docs/reference/protocol.md.

Nothing here knows Redis, handlers or jobs.
"""

import hashlib
import re
from typing import Any

from pydantic_core import to_json

from shared.errors import PacketError
from shared.wire.json_values import read_json

API_CALL = "Chatbot.InterfaceInvocation"  # PROTOCOL §3.1

SYSTEM_VARIABLES = ("SystemSessionID", "SystemClientUserID", "SystemCustomerServiceID", "SystemChannelType")
"""The system variables that a page names (PROTOCOL §3.1); there are others."""

SYSTEM = "System"
"""How the names of system variables begin."""

SIGN_WINDOW_SECONDS = 60
"""How far RequestTime may be from now, either way (PROTOCOL §2)."""

COMMAND_FORM = r"[A-Za-z][A-Za-z0-9_.]{0,127}"
"""The form that a command must have to be accepted; one of this form may be logged."""

_LEVELS_AROUND = 3  # how deep a packet lies in the JSON of its job on Redis: data, arguments, event
_CERTAINLY_SHALLOW = 100  # brackets: a packet with so few can be read there

Packet = dict[str, Any]
"""A callback's body, as it came."""

_command = re.compile(COMMAND_FORM)


def envelope(
    code: int = 0, info: str = "", body: dict[str, str] | None = None, fields: dict[str, Any] | None = None
) -> bytes:
    """The answer to a callback, keys in the documented order (PROTOCOL §1, §3.1).

    Args:
        code: `ErrorCode`; 0 is success, any other value a failure.
        info: `ErrorInfo`.
        body: the variables to set, names and values as strings; None leaves `Body` out.
        fields: what the answers of other commands hold beside (PROTOCOL §3.2, §3.4).
    """
    answer: dict[str, Any] = {"ActionStatus": "FAIL" if code else "OK", "ErrorInfo": info, "ErrorCode": code}
    if body is not None:
        answer["Body"] = body
    if fields:
        answer |= fields
    return to_json(answer)


RECEIPT = envelope()
"""The answer to a callback that asks for nothing (PROTOCOL §1)."""


def parse_packet(body: bytes) -> Packet:
    """Read a callback's body.

    Returns:
        The packet, with `CallbackCommand` a well-formed string and, for an API call, `Body` an object or null. Half a
        surrogate pair, which a client leaves when it cuts a name, becomes U+FFFD: no text can hold it.

    Raises:
        PacketError: the body is not JSON, or not a packet; the message quotes nothing of it.
    """
    try:
        packet = read_json(body)
    except ValueError:
        raise PacketError("the body is not valid JSON") from None
    if not isinstance(packet, dict):
        raise PacketError("the body is not a JSON object")
    if body.count(b"[") + body.count(b"{") > _CERTAINLY_SHALLOW:
        try:
            read_json(b"[" * _LEVELS_AROUND + body + b"]" * _LEVELS_AROUND)
        except ValueError:
            raise PacketError("the body is nested too deeply") from None
    command = packet.get("CallbackCommand")
    if not isinstance(command, str) or not _command.fullmatch(command):
        raise PacketError("CallbackCommand: expected a name of letters, digits, dots and underscores")
    if command.lower() == API_CALL.lower() and not isinstance(packet.get("Body", ""), dict | None):
        raise PacketError("Body: expected an object of variables")
    return packet


def sign(token: str, request_time: str) -> str:
    """`Sign`: lower-case hex of sha256(Token + RequestTime) (PROTOCOL §2)."""
    return hashlib.sha256((token + request_time).encode()).hexdigest()


def fingerprint(token: str) -> str:
    """Eight hex digits that tell a token from others without giving it away."""
    return hashlib.blake2b(token.encode(), digest_size=4, person=b"deskbell token").hexdigest()
