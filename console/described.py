"""The handlers that settings name, imported once; and what history and records tell of them."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from redis import Redis

from console.reads import Reads
from deskbell.describe.drift import Told, read_told
from deskbell.describe.loaded import callbacks_to_describe, job_types_to_describe
from shared.errors import ConfigError
from shared.handlers.callbacks import Callbacks
from shared.jobs.job_type import JobType
from shared.redis.history import COARSE_MINUTES, FINE_SECONDS, Tally, read_history
from shared.settings.config import Settings

_AGAIN_SECONDS = 15.0
_WAIT_SECONDS, _PAUSE_SECONDS = 0.1, 0.02
_SINCE_SECONDS = FINE_SECONDS + COARSE_MINUTES * 60  # so far back counts are of ten minutes, which are soon read


@dataclass(frozen=True, slots=True)
class Loaded:
    """What settings name, as it was when it was imported.

    Attributes:
        callbacks: None when there are none to describe.
        wrong: why, in the sentence of `deskbell describe`.
        jobs_wrong: why no job types are known, although a setting names some.
        at: when, in Unix seconds.
    """

    callbacks: Callbacks | None
    wrong: str
    job_types: list[JobType]
    jobs_wrong: str
    at: float


@dataclass(frozen=True, slots=True)
class Lately:
    """What the last hours tell.

    Attributes:
        told: by the records.
        tallies: what was counted, by node or command.
        since, at: from when to when that was counted, in Unix seconds.
    """

    told: Told
    tallies: Mapping[str, Tally]
    since: float
    at: float


class Described:
    """Knows it for all requests together."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._redis = redis
        self._loaded: Loaded | None = None
        self._lock = threading.Lock()
        self._looks = Reads[Lately](_WAIT_SECONDS, _AGAIN_SECONDS)

    def loaded(self) -> Loaded:
        """What settings name, imported once for this process: a change is seen after its next start."""
        with self._lock:
            self._loaded = self._loaded or self._load()
            return self._loaded

    def lately(self) -> Lately:
        """What the last hours tell: an old look, if the next takes long; the first is waited for.

        Raises:
            RedisError: Redis does not answer.
        """
        while (look := self._looks.get("", lambda _: self._look()).result) is None:
            time.sleep(_PAUSE_SECONDS)
        return look

    def _load(self) -> Loaded:
        callbacks, wrong, job_types, jobs_wrong = None, "", [], ""
        try:
            callbacks = callbacks_to_describe(self._settings)
        except ConfigError as error:
            wrong = error.args[0]
        try:
            job_types = job_types_to_describe(self._settings)
        except ConfigError as error:
            jobs_wrong = error.args[0]
        return Loaded(callbacks, wrong, job_types, jobs_wrong, time.time())

    def _look(self) -> Lately:
        now, callbacks, tallies = time.time(), self.loaded().callbacks, dict[str, Tally]()
        periods = read_history(self._redis, now - _SINCE_SECONDS, now)
        for counted in periods.values():
            for (kind, name), tally in counted.items():
                if kind == "callback":
                    tallies.setdefault(name, Tally()).add(tally)
        return Lately(read_told(self._redis, callbacks), tallies, min(periods), now)
