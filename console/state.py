"""What all requests of a process share: settings, Redis, sessions, and how addresses are written.

On a cluster whose shards a process shows all, each shard has a state of its own, below `/shard/3`; that of the process
has them in `shards`, and the pages that are of none.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from urllib.parse import quote, urlencode, urlsplit

import anyio
from redis import Redis
from redis.exceptions import RedisError

from console.access.refusals import Refusals
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
from deskbell.queues.shards import Together
from shared.redis.connections import connect
from shared.settings.config import Settings
from workers.audit import AuditLog

_REDIS_SECONDS = 2.0
_DEAD_WAIT_SECONDS = 0.1
_OVERVIEW_SECONDS, _PLAN_SECONDS, _DOCTOR_SECONDS = 1.0, 20.0, 10.0
_OF_SHARD = re.compile("/shard/([0-9]{1,4})(/.*)?")
_ABOVE = ("/shards", "/shards/go", "/shards/event", "/sign-in", "/sign-out", "/preferences")
_OF_SESSIONS = ("/sign-in", "/sign-out")


@dataclass
class State:
    """What requests share.

    Attributes:
        rq_dashboard: where rq-dashboard is, for links into it; "" where that is not known.
        assets: the address of each static file.
        shard: whose state it is; None of one Redis, of the one shard of a process, and of all shards.
        shards: the states of all shards, where the process shows them all.
        everywhere: clients of all shards, beginning with this one's.
    """

    settings: Settings
    rq_dashboard: str = ""
    shard: int | None = None
    shards: "list[State]" = field(default_factory=list)
    everywhere: Sequence[Redis] = ()

    def __post_init__(self) -> None:
        parts = urlsplit(self.settings.console_url)
        self.origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
        self.base = parts.path
        self.below = "" if self.shard is None else f"/shard/{self.shard}"
        self.prefix = self.base + self.below
        self.assets = _assets(self.base)
        self.everywhere = self.everywhere or (connect(self.settings, _REDIS_SECONDS),)
        self.redis, of_runs = self.everywhere[0], connect(self.settings, shard=self.shard)
        self._connections = (self.redis, of_runs)
        self.audit = AuditLog(self.redis)
        self.refusals = Refusals(self.redis)
        self.history = History(self.redis)
        self.described = Described(self.settings, self.redis)
        self.doctor = Reads[tuple[list[Finding], float]](0.0, _DOCTOR_SECONDS)
        self.together = Together(0)
        self.dead_overview = Reads[Overview](_DEAD_WAIT_SECONDS, _OVERVIEW_SECONDS)
        self.dead_plans = Reads[Plan](_DEAD_WAIT_SECONDS, _PLAN_SECONDS)
        self.dead_runs = Runs(of_runs, self.dead_overview.forget)
        self.streams = Streams()
        self.sessions = Sessions(self.settings, self.everywhere, self.base, is_secure=parts.scheme == "https")

    @classmethod
    def of_all_shards(cls, settings: Settings, rq_dashboard: str = "") -> "State":
        """The state of a process that shows all shards of a cluster."""
        clients = [connect(settings, _REDIS_SECONDS, shard) for shard in range(settings.shards)]
        found = cls(settings, rq_dashboard, everywhere=clients)
        found.together = Together(settings.shards)
        found.doctor = Reads(0.0, _DOCTOR_SECONDS * settings.shards, 2 * settings.shards)  # as much work as for one
        for shard, own in enumerate(clients):
            others = [each for each in clients if each is not own]
            state = cls(settings, rq_dashboard, shard, found.shards, [own, *others])
            state.doctor, state.streams = found.doctor, found.streams
            found.shards.append(state)
        return found

    @property
    def is_above(self) -> bool:
        """Whether it is that of a process which shows all shards: pages are of one of them."""
        return bool(self.shards) and self.shard is None

    def at(self, path: str) -> "tuple[State, str]":
        """Whose page is at a path, and its path there; of none, one that no page has."""
        if not self.is_above:
            return self, path
        if found := _OF_SHARD.fullmatch(path):
            shard, rest = int(found[1]), found[2] or "/"
            is_there = shard < len(self.shards) and rest not in _OF_SESSIONS
            return (self.shards[shard], rest) if is_there else (self, "/nothing")
        is_above = path in _ABOVE or path.startswith("/static/")
        return self, "/shards" if path == "/" else path if is_above else "/nothing"

    def prepare(self) -> None:
        """Compile, import and read what takes long, before somebody asks; what Redis does not give, requests read."""
        compile_templates()
        asyncio.run(anyio.to_thread.run_sync(int))  # imports what handlers are run by, as the first of them would
        time.strptime("", "")  # imports what RQ reads dates by
        self.described.loaded()
        with ThreadPoolExecutor() as pool:
            list(pool.map(State._read_ahead, self.shards or [self]))

    def _read_ahead(self) -> None:
        with suppress(RedisError, OSError):
            self.history.prepare()
            self.described.lately()

    def close(self) -> None:
        """End what dead letters are replayed or discarded by, and close the connections to Redis."""
        for each in self.shards if self.is_above else ():
            each.close()
        self.together.close()
        self.dead_runs.close()
        for connection in self._connections:
            connection.close()

    def url(self, path: str, query: Mapping[str, str | int | None] | None = None) -> str:
        """An address of the console: a path that begins with `/`, and what is asked; None is left out."""
        return self.prefix + self._path(path, query)

    def above(self, path: str, query: Mapping[str, str | int | None] | None = None) -> str:
        """An address of the console that is no shard's, for a path such as `/shard/3/queues`."""
        return self.base + self._path(path, query)

    @staticmethod
    def _path(path: str, query: Mapping[str, str | int | None] | None) -> str:
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        return quote(path) + (f"?{urlencode(given)}" if given else "")


def _assets(prefix: str) -> Mapping[str, str]:
    """The address of each static file; another content has another address, so that browsers may keep it."""
    root = files("console").joinpath("static")
    names = ("console.css", "console.js", "icon.svg", "htmx/htmx-2.0.11.min.js")
    versions = {name: hashlib.sha256(root.joinpath(name).read_bytes()).hexdigest()[:8] for name in names}
    return {name: f"{prefix}/static/{name}?v={version}" for name, version in versions.items()}
