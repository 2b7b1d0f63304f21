"""What flows are played against: an api and a Redis that run already, or a stack that is started and ended here."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis import Redis

from deskbell.cli.defaults import DEV_APP
from deskbell.cli.exit import stop
from deskbell.cli.settings.running import Target, find_running, load_settings_here, target
from deskbell.cli.stack import Stack
from deskbell.flow.player import Player
from deskbell.http import TransportError, client
from deskbell.simulator.client import Desk
from deskbell.simulator.rest.reading import Inbox
from shared.redis.connections import connect
from shared.settings.config import load_settings

_PATIENCE_SECONDS = 60
_FAILED = 1
_ANSWER_SECONDS = 30
_SHOWN_LINES = 20


class Stage:
    """Where cases are played.

    Attributes:
        name: in words.
    """

    def __init__(
        self,
        name: str,
        redis: Redis,
        target_of: Callable[[str | None], Target],
        desk_url: str,
        logs: Path | None = None,
    ) -> None:
        self.name = name
        self._redis = redis
        self._target_of = target_of
        self._logs = logs
        self._exit = ExitStack()
        self._inbox = Inbox(desk_url)
        self._exit.callback(self._inbox.close)

    def player(self, app: str | None) -> Player:
        """The player for an app; None means the app of the settings."""
        to = self._target_of(app)
        desk = self._exit.enter_context(Desk(to.url, to.app, to.token or None, seconds=_ANSWER_SECONDS))
        return Player(desk, self._redis, self._inbox)

    def errors(self) -> list[str]:
        """The last errors that the stack's processes have logged; none where other processes have the log."""
        if not self._logs:
            return []
        lines = self._logs.read_text(errors="replace").splitlines()
        return [line for line in lines if not line.startswith("{") or '"level":"error"' in line][-_SHOWN_LINES:]

    def close(self) -> None:
        """Close the connections."""
        self._exit.close()


@contextmanager
def staged(url: str | None, app: str | None, token: str | None) -> Iterator[Stage]:
    """The api at a URL or the `deskbell dev` of this folder; without either, a stack of its own until the end."""
    if url or find_running():
        here = load_settings_here(for_redis=True)
        with connect(here) as redis:
            stage = Stage(url or "deskbell dev", redis, lambda own: target(url, own or app, token), here.desk_url)
            yield stage
            stage.close()
        return
    load_settings()  # reads .env into the environment; a wrong setting ends this in a sentence
    given = {name: value for name, value in os.environ.items() if name.startswith("DESKBELL_")}
    with tempfile.TemporaryDirectory(prefix="deskbell-flow-") as folder:
        logs = Path(folder) / "logs"
        with Stack(Path(folder), given=given, logs=logs) as stack:
            settings = load_settings(redis_url=stack.environment["DESKBELL_REDIS_URL"])
            with connect(settings) as redis:
                handlers = stack.environment.get("DESKBELL_CALLBACKS", "no handlers")
                stage = Stage(
                    f"a stack of its own with {handlers}",
                    redis,
                    lambda own: _target(stack, own or app, token),
                    stack.environment["DESKBELL_DESK_URL"],
                    logs,
                )
                _wait(stack, stage)
                yield stage
                stage.close()


def _wait(stack: Stack, stage: Stage) -> None:
    """Wait until the api answers: the first call of a case must not pay for its start."""
    with client(stack.api_url, seconds=1) as api:
        for _ in range(_PATIENCE_SECONDS):
            try:
                api.get("/healthz")
            except TransportError:
                if stack.dead():
                    stop("\n".join(["the api or the workers have ended:", *stage.errors()]), _FAILED)
            else:
                return
    stop(f"the api has not answered within {_PATIENCE_SECONDS} s", _FAILED)


def _target(stack: Stack, app: str | None, token: str | None) -> Target:
    apps: dict[str, list[str]] = json.loads(stack.environment["DESKBELL_APPS"])
    secret = stack.environment.get("DESKBELL_PATH_SECRET", "")
    app = app or next(iter(apps), DEV_APP)
    if app not in apps:
        stop(f"the app {app} is not in DESKBELL_APPS; the apps are {', '.join(apps)}")
    tokens = apps[app]
    return Target(stack.api_url + (f"/{secret}" if secret else ""), app, token or (tokens[0] if tokens else ""))
