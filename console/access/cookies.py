"""Cookies: the console's own alone, for what others of its host hold may take very long to read."""

from starlette.types import ASGIApp, Receive, Scope, Send

_OURS = b"deskbell_"


def with_own_cookies(app: ASGIApp) -> ASGIApp:
    """The app, for requests with the console's own cookies and no others.

    FastAPI reads all cookies of each request, and before 3.11.10, 3.12.6 and 3.13 Python took quadratic time for a
    quoted one (CVE-2024-7592): 30 kB held the process for eight seconds. None of ours is quoted.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            others = [each for each in scope["headers"] if each[0] != b"cookie"]
            sent = b";".join(value for name, value in scope["headers"] if name == b"cookie")
            pairs = (each.strip() for each in sent.split(b";"))
            own = b"; ".join(each for each in pairs if each.startswith(_OURS) and b'"' not in each)
            scope = {**scope, "headers": [*others, (b"cookie", own)]}
        await app(scope, receive, send)

    return answer
