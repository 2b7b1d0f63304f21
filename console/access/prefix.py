"""The path under which a proxy shows the console, told by a setting: the proxy may pass it on, or take it off."""

from starlette.types import ASGIApp, Receive, Scope, Send


def with_prefix(app: ASGIApp, prefix: str) -> ASGIApp:
    """The app, for requests with the prefix before their path or without; `X-Forwarded-Prefix` is not believed."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and prefix and (scope["path"] + "/").startswith(prefix + "/"):
            scope = {**scope, "path": scope["path"].removeprefix(prefix) or "/"}
        await app(scope, receive, send)

    return answer
