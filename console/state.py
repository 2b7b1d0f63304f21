"""What all requests of a process share: settings, Redis, sessions, and how addresses are written."""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import quote, urlencode, urlsplit

import anyio
from redis.exceptions import RedisError

from console.access.sessions import Sessions
from console.described import Described
from console.history import History
from console.reads import Reads
from console.rendering import compile_templates
from console.streams import Streams
from deskbell.dead_letters.overview import Overview
from deskbell.dead_letters.plan import Plan
from deskbell.dead_letters.runs import Runs
from deskbell.queues.findings import Finding
from shared.logs import get_log
from shared.redis.connections import connect
from shared.settings.config import Settings
from workers.audit import AuditLog

_REDIS_SECONDS = 2.0
_DEAD_WAIT_SECONDS = 0.1
_OVERVIEW_SECONDS, _PLAN_SECONDS, _DOCTOR_SECONDS = 1.0, 20.0, 10.0


@dataclass
class State:
    """What requests share.

    Attributes:
        rq_dashboard: where rq-dashboard is, for links into it; "" where that is not known.
        assets: the address of each static file.
    """

    settings: Settings
    rq_dashboard: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.settings.console_url)
        self.origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
        self.prefix = parts.path
        self.assets = _assets(self.prefix)
        self.redis, of_runs = connect(self.settings, _REDIS_SECONDS), connect(self.settings)
        self._connections = (self.redis, of_runs)
        self.audit = AuditLog(self.redis)
        self.history = History(self.redis)
        self.described = Described(self.settings, self.redis)
        self.doctor = Reads[tuple[list[Finding], float]](0.0, _DOCTOR_SECONDS)
        self.dead_overview = Reads[Overview](_DEAD_WAIT_SECONDS, _OVERVIEW_SECONDS)
        self.dead_plans = Reads[Plan](_DEAD_WAIT_SECONDS, _PLAN_SECONDS)
        self.dead_runs = Runs(of_runs, self.dead_overview.forget)
        self.streams = Streams()
        self.sessions = Sessions(self.settings, self.redis, self.prefix, is_secure=parts.scheme == "https")

    def prepare(self) -> None:
        """Compile, import and read what takes long, before somebody asks; what Redis does not give, requests read."""
        compile_templates()
        asyncio.run(anyio.to_thread.run_sync(int))  # imports what handlers are run by, as the first of them would
        time.strptime("", "")  # imports what RQ reads dates by
        self.described.loaded()
        with suppress(RedisError, OSError):
            self.history.prepare()
            self.described.lately()

    def close(self) -> None:
        """End what dead letters are replayed or discarded by, and close the connections to Redis."""
        self.dead_runs.close()
        for each in self._connections:
            each.close()

    def url(self, path: str, query: Mapping[str, str | int | None] | None = None) -> str:
        """An address of the console: a path that begins with `/`, and what is asked; None is left out."""
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        return self.prefix + quote(path) + (f"?{urlencode(given)}" if given else "")

    def record(self, action: str, selection: str, by: str, end: str) -> None:
        """Record in the audit log what somebody was refused; the log has it, too, also while Redis is away."""
        get_log().warning("console_refused", action=action, user=by, reason=end)
        with suppress(RedisError, OSError):
            self.audit.note(action, selection, by, end)


def _assets(prefix: str) -> Mapping[str, str]:
    """The address of each static file; another content has another address, so that browsers may keep it."""
    root = files("console").joinpath("static")
    names = ("console.css", "console.js", "icon.svg", "htmx/htmx-2.0.11.min.js")
    versions = {name: hashlib.sha256(root.joinpath(name).read_bytes()).hexdigest()[:8] for name in names}
    return {name: f"{prefix}/static/{name}?v={version}" for name, version in versions.items()}
