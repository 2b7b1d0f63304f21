"""Tencent Cloud Desk, as far as a test needs it: signs and posts callbacks over real HTTP."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
from redis import Redis

from api.server.connections import Connections
from deskbell.testing import packet, signed_query
from deskbell.testing import serving as testing
from shared.handlers.callbacks import Callbacks
from shared.redis.queues import MARK_KEY
from shared.settings.config import Settings

APP = "1400000001"
TOKEN = "xxxxyyyy"


class Desk:
    """Posts callbacks to an api."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=30)

    def call(self, node: str = "", /, **variables: Any) -> httpx.Response:
        """Call an API-call node, signed."""
        return self.post(packet(**variables), node)

    def post(self, body: Any, node: str = "", *, path: str = "/callback", **query: str | None) -> httpx.Response:
        """Post a body (bytes as they are, anything else as JSON); `query` overrides fields, None leaves one out."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(f"{path}/{node}" if node else path, params=self.query(body, **query), content=content)

    def query(self, body: Any, **override: str | None) -> str:
        """The query for a body, signed as Tencent signs."""
        command = body.get("CallbackCommand", "") if isinstance(body, dict) else ""
        fields = dict(parse_qsl(signed_query(APP, TOKEN, command), keep_blank_values=True))
        if not command:
            del fields["CallbackCommand"]
        return urlencode({name: value for name, value in (fields | override).items() if value is not None})

    def refused(self, cause: str) -> float:
        """How many requests were refused for a cause, by /metrics."""
        for line in self.http.get("/metrics").text.splitlines():
            if line.startswith(f'deskbell_refused_total{{cause="{cause}"}}'):
                return float(line.split()[-1])
        return 0


def written(redis: Redis) -> list[bytes]:
    """The keys that callbacks have left: all but those that an api writes when it first asks Redis."""
    keys: Any = redis.keys()
    return [key for key in keys if key != b"rq:queues" and not key.startswith(MARK_KEY.encode())]


@contextmanager
def serving(settings: Settings, callbacks: Callbacks, connections: Connections | None = None) -> Iterator[Desk]:
    """An api under uvicorn, in a thread, on a free port."""
    with testing.serving(settings, callbacks, connections) as url:
        desk = Desk(url)
        try:
            yield desk
        finally:
            desk.http.close()
