"""Parses the paths of callbacks, and says what is wrong with a path that was meant to be one.

Desk's administrator types the URL by hand, and sees nothing but the flow's exception branch when it is wrong.
"""

import re
from typing import NamedTuple

from starlette.types import Scope

from api.errors import Rejection
from shared.declarations.options import NODE_FORM
from shared.settings.config import Settings
from shared.wire.codes import Code

_HINTS = (b"callbackcommand=", b"sdkappid=")


class CallbackPath(NamedTuple):
    """A path that is a callback's: the secret that it holds, and the node; "" where it holds none."""

    secret: str
    node: str


class CallbackPaths:
    """Reads paths: `/callback` and `/callback/<node>`, behind the secret if one is set; one slash more is allowed."""

    def __init__(self, settings: Settings) -> None:
        self._secret = "/[^/]+" if settings.path_secret else ""
        self._form = re.compile(f"(?P<secret>{self._secret})/callback(?:/(?P<node>{NODE_FORM}))?/?")

    def read(self, path: str) -> CallbackPath | None:
        """What a path says; None when it is not a callback's."""
        found = self._form.fullmatch(path)
        return CallbackPath(found["secret"][1:], found["node"] or "") if found else None

    def rejection(self, scope: Scope) -> Rejection | None:
        """The rejection of a request for a path that is not there; None when it does not look like a callback."""
        path: str = scope["path"]
        query: bytes = scope["query_string"].lower()
        if "callback" not in path.lower() and not any(hint in query for hint in _HINTS):
            return None
        return Rejection(Code.NOT_A_PACKET, "no such path", "no_such_path", advice=self._advice(path))

    def _advice(self, path: str) -> str:
        """What to look at; quotes nothing of the path."""
        if "//" in path:
            return "the path has a doubled slash"
        if self._form.fullmatch(path.lower()):
            return "the path is written in small letters"
        if re.fullmatch(f"{self._secret}/callback/[^/]+/?", path):
            return "the node's name: up to 64 of A-Z a-z 0-9 . _ -, the first a letter or a digit"
        if self._secret and re.match("/callback(/|$)", path):
            return "the path lacks the secret of DESKBELL_PATH_SECRET"
        return f"the path is {'/<secret>' if self._secret else ''}/callback/<node>"
