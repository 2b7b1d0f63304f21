"""The OpenAPI document of the callbacks, which `CallbackRoutes` answers before FastAPI's own routing sees them."""

from typing import Any

from fastapi import FastAPI

from shared.declarations.options import NODE_FORM
from shared.wire.codes import Code
from shared.wire.commands import COMMANDS
from shared.wire.protocol import COMMAND_FORM

_ENVELOPE = {
    "type": "object",
    "required": ["ActionStatus", "ErrorInfo", "ErrorCode"],
    "properties": {
        "ActionStatus": {"enum": ["OK", "FAIL"]},
        "ErrorInfo": {"type": "string"},
        "ErrorCode": {"type": "integer"},
        "Body": {"type": "object", "additionalProperties": {"type": "string"}},
        "AgentGroupId": {"type": "integer"},
        "AgentIdList": {"type": "array", "items": {"type": "string"}},
        "RspData": {"type": "string"},
    },
}
_PACKET = {
    "type": "object",
    "required": ["CallbackCommand"],
    "properties": {
        "CallbackCommand": {
            "type": "string",
            "pattern": f"^{COMMAND_FORM}$",
            "examples": list(COMMANDS),
        },
        "Body": {"type": "object", "description": "The variables of an API call."},
        "EventTime": {"type": ["integer", "string"], "description": "Milliseconds since the epoch."},
    },
    "additionalProperties": True,
}
_QUERY = {
    "SdkAppid": "The app.",
    "CallbackCommand": "As in the body.",
    "Sign": "Lower-case hex of sha256(Token + RequestTime).",
    "RequestTime": "Unix seconds.",
    "RequestID": "Identifies the delivery.",
    "ClientIP": "The end user's address.",
    "OptPlatform": "The end user's platform.",
    "contenttype": "`json`.",
}


def document(app: FastAPI, *, secret: bool) -> None:
    """Add the callbacks to what `/openapi.json` says of an app; behind a path secret if there is one."""
    before = "/{secret}" if secret else ""
    parameters = [_path_parameter("secret", "^[A-Za-z0-9_-]{16,128}$")] if secret else []
    described = app.openapi()
    described["paths"] |= {
        f"{before}/callback": {"post": _operation("callback", parameters)},
        f"{before}/callback/{{node}}": {
            "post": _operation("callback_of_node", [*parameters, _path_parameter("node", f"^{NODE_FORM}$")])
        },
    }


def _operation(name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    query = [
        {
            "name": field,
            "in": "query",
            "description": description,
            "required": False,
            "schema": {"type": "string"},
        }
        for field, description in _QUERY.items()
    ]
    return {
        "operationId": name,
        "summary": "Answer a callback of Tencent Cloud Desk.",
        "parameters": [*parameters, *query],
        "requestBody": {"content": {"application/json": {"schema": _PACKET}}},
        "responses": {
            str(status): {
                "description": _meaning(status),
                "content": {"application/json": {"schema": _ENVELOPE}},
            }
            for status in sorted({200, *(code.status for code in Code)})
        },
    }


def _meaning(status: int) -> str:
    codes = [str(code.number) for code in Code if code.status == status]
    return f"`ErrorCode` {', '.join(codes)}" + (", 0 when all is well, or what `Refuse` chose" if status == 200 else "")  # noqa: PLR2004


def _path_parameter(name: str, pattern: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}
