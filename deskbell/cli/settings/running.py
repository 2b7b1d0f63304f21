"""The `deskbell dev` of this folder, as the commands of a second terminal find it: an address file under a lock.

1. `announced` writes the file, mode 600, and holds a lock (flock) on it for as long as `deskbell dev` runs.
2. `find_running` reads the file if its lock is held. The system releases the lock of a process that has died, so a pid
   that another process got meanwhile deceives nobody; a file without its lock is removed. One that others may have
   written is not read: it names modules to import, and where to send signed callbacks.
3. `load_settings_here` lets a command have the settings found there, beneath the environment and `.env`; `target` says
   where `deskbell send` and its like post their callbacks.
"""

import fcntl
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from deskbell.cli.defaults import DEV_APP, DEV_TOKEN
from deskbell.cli.exit import stop
from shared.redis.outages import unreachable
from shared.sentences import sentence
from shared.settings.config import Settings, load_settings
from shared.settings.env_file import read_env_file

FOLDER = Path(".deskbell")
"""Where `deskbell dev` keeps its data, in the current folder."""

_FILE = "dev.json"
_REDIS = "DESKBELL_REDIS_URL"
_DEFAULT_REDIS = Settings.model_fields["redis_url"].default.get_secret_value()
_DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Running:
    """A `deskbell dev` that runs.

    Attributes:
        pid: its process.
        url: its api; with the path secret, if there is one.
        environment: the settings of its api and workers, as environment variables.
    """

    pid: int
    url: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """Where callbacks are posted, and how they are signed; an empty token sends no Sign."""

    url: str
    app: str
    token: str


@contextmanager
def announced(running: Running, folder: Path = FOLDER) -> Iterator[None]:
    """Let commands in the folder find this process."""
    path = folder / _FILE
    written = path.with_suffix(f".{running.pid}")  # nobody may find it before it is locked
    written.unlink(missing_ok=True)
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump(asdict(running), file)
        file.flush()
        written.replace(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def find_running(folder: Path = FOLDER) -> Running | None:
    """The `deskbell dev` that runs in the folder; None if none does."""
    path = folder / _FILE
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # a symbolic link, a folder, a file that may not be read
        return _not_ours(path)
    with file:
        if not _is_ours(os.fstat(file.fileno())):
            return _not_ours(path)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            with suppress(ValueError, TypeError):  # another version wrote it
                return Running(**json.load(file))
        else:
            with suppress(FileNotFoundError):  # another command has just removed it
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):  # else it has just been written anew
                    path.unlink()
    return None


def _is_ours(status: os.stat_result) -> bool:
    """Whether a file is one that this user alone can have written."""
    others = stat.S_IWGRP | stat.S_IWOTH
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & others


@cache
def _not_ours(path: Path) -> None:
    """Say once that a file is not read."""
    said = f"deskbell: {path} is not a file that this user alone can have written: it is not read"
    print(said, file=sys.stderr)  # noqa: T201 - what a command line is for


def load_settings_here(*, for_redis: bool = False) -> Settings:
    """The settings of a command that looks at what runs: those of `deskbell dev` beneath the environment and `.env`.

    Args:
        for_redis: whether the command asks Redis: a line on standard error says if that is `deskbell dev`'s.

    Raises:
        ConfigError: one sentence that names the setting, what was expected and what came.
    """
    running = find_running()
    if running:
        read_env_file()
        for name, value in running.environment.items():
            if not os.environ.get(name):
                os.environ[name] = value
        if for_redis and os.environ.get(_REDIS) == running.environment.get(_REDIS):
            here = f"deskbell: on the Redis of the `deskbell dev` that runs here, pid {running.pid}"
            print(here, file=sys.stderr)  # noqa: T201 - what a command line is for
    return load_settings()


def no_redis(error: BaseException, settings: Settings) -> str:
    """The message of a command that did not reach Redis: what a person must do, or that it does not answer."""
    if "redis_url" in settings.model_fields_set:
        return unreachable(error)
    return sentence(
        "{problem} from {default}; set it, in .env or the environment, or run `deskbell dev` here",
        problem=unreachable(error),
        default=_DEFAULT_REDIS,
    )


def target(url: str | None, app: str | None, token: str | None) -> Target:
    """Where to post, and how to sign: as given, else as the settings or `deskbell dev` say, else dev's defaults."""
    if url is not None and not url.startswith(("http://", "https://")):
        stop(f"--url: expected http://… or https://…, got {url!r}")
    running, settings = find_running(), load_settings_here()
    if url is None:
        url = running.url if running else _DEFAULT_URL + settings.secret_path
    app = app or next(iter(settings.apps), DEV_APP)
    if token is None:
        tokens = settings.apps.get(app, [])
        if not tokens and app != DEV_APP and settings.needs_sign(app):
            stop(f"no token of the app {app} is known here: write --token, or set DESKBELL_APPS in .env")
        token = tokens[0].get_secret_value() if tokens else DEV_TOKEN if app == DEV_APP else ""
    return Target(url, app, token)
