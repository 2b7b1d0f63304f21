"""A console that runs, and browsers that have signed in to it, over real HTTP."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from console.server import serve_in_thread
from deskbell.cli.processes.listening import listen
from shared.settings.config import Settings
from shared.settings.console import ConsoleUser
from tests.waiting import DEADLINE_SECONDS, until

PASSWORD = "correct horse battery staple"
KEY = "k" * 32


def cheap_hash(password: str) -> str:
    """A password's hash that costs little to check."""
    salt = b"0123456789abcdef"
    hashed = hashlib.scrypt(password.encode(), salt=salt, n=2**10, r=8, p=1, dklen=32)
    text = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (salt, hashed))
    return ".".join(("scrypt.10.8.1", *text))


USERS = {
    name: ConsoleUser(role=name, password=SecretStr(cheap_hash(PASSWORD))) for name in ("viewer", "operator", "admin")
}
"""A user for each role, whose name is the role's."""


class Browser(httpx.Client):
    """Sends what a browser sends with the requests of the console's own pages."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(base_url=url, timeout=30, headers={"Sec-Fetch-Site": "same-origin"}, **options)

    def sign_in(self, name: str, password: str = PASSWORD, to: str = "/") -> httpx.Response:
        """Send the form of the page on which one signs in."""
        return self.post("/sign-in", data={"name": name, "password": password, "next": to})

    def update(self, path: str) -> httpx.Response:
        """Ask as a page does that renews itself."""
        return self.get(path, headers={"HX-Request": "true"})


@contextmanager
def browsing(settings: Settings, rq_dashboard: str = "") -> Iterator[str]:
    """A console on a free port; its URL."""
    listener = listen("127.0.0.1", 0)
    server, thread = serve_in_thread(listener, settings, rq_dashboard)
    until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()
        listener.close()
