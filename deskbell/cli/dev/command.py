"""The loop of `deskbell dev`: lines of the processes, changes of code and the clock come in, what is shown goes out."""

import os
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from redis.exceptions import RedisError
from rich.console import Console
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from deskbell.cli.dev.blocks import Block, Blocks
from deskbell.cli.dev.declared import EVENT
from deskbell.cli.dev.lines import Line, read_lines
from deskbell.cli.dev.mistakes import Mistake, mistake_in
from deskbell.cli.dev.screen import Screen
from deskbell.cli.dev.surplus import Surplus
from deskbell.cli.processes.signals import end_on_signals
from deskbell.cli.settings.running import FOLDER, Running, announced
from deskbell.cli.stack import NEEDS_DEV, Stack
from deskbell.http import check_proxies
from deskbell.simulator.rest.received import Received
from shared.errors import ConfigError
from shared.redis.connections import connect
from shared.settings.config import Settings, load_settings
from shared.settings.environment import PREFIX
from shared.wire.commands import event_from_wire
from shared.wire.events import Event

try:
    from deskbell.cli.dev.reloads import Changed, Reloads, watch_code
except ModuleNotFoundError as error:
    raise ConfigError(NEEDS_DEV) from error

_PORTS = (8000, 9181, 8010, 8020)
_CONSOLE_PORT = 9182
_TURN_SECONDS = 0.1
_NO_JOBS = "deskbell.jobs.none:jobs"


def dev(*, show_values: bool) -> None:
    """Run the stack until Ctrl-C, and reload api and workers when code changes.

    Args:
        show_values: whether the values of variables are printed, beside their names.
    """
    end_on_signals()
    check_proxies()
    settings = load_settings()  # a wrong setting ends this at once: no change of code would help
    if not settings.app_dir.is_dir():
        raise ConfigError(f"{PREFIX}APP_DIR: expected a folder, got {str(settings.app_dir)!r}, which is none")
    screen = Screen(Console(soft_wrap=True, highlight=False), show_values=show_values)
    given = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    given[f"{PREFIX}LOG_FORMAT"] = "dev"  # read here
    if settings.callbacks and not settings.jobs:
        given[f"{PREFIX}JOBS"] = _NO_JOBS
    queue: SimpleQueue[Line | Changed | Received] = SimpleQueue()
    with (
        Stack(
            FOLDER,
            ports=_PORTS,
            console_port=_CONSOLE_PORT,
            given=given,
            read=partial(read_lines, queue),
            show=queue.put,
        ) as stack,
        announced(Running(os.getpid(), stack.api_url + settings.secret_path, stack.environment)),
        suppress(KeyboardInterrupt),
    ):
        _Session(stack, settings, screen, queue).run()
    screen.say("stopped")


class _Session:
    """One run of the stack."""

    def __init__(
        self, stack: Stack, settings: Settings, screen: Screen, queue: SimpleQueue[Line | Changed | Received]
    ) -> None:
        self._stack = stack
        self._settings = settings
        self._screen = screen
        self._queue = queue
        self._blocks = Blocks(time.monotonic)
        self._surplus = Surplus(time.monotonic)
        self._reloads = Reloads(stack)
        self._redis = connect(load_settings(redis_url=stack.environment["DESKBELL_REDIS_URL"]), 1.0)
        self._mistakes: set[str] = set()  # said since the last change
        self._calls: list[str] = []

    def run(self) -> None:
        """Show what happens, until a signal ends it."""
        self._greet()
        app_dir = Path(self._stack.environment.get("DESKBELL_APP_DIR", "."))
        watch_code(self._queue, {app_dir, *_own_sources()}, FOLDER.resolve())
        while True:
            with suppress(Empty):
                self._read(self._queue.get(timeout=_TURN_SECONDS))
                continue  # what has come is read before what may be missing is said
            for sentence in self._reloads.ended():
                self._screen.say(sentence, style="bold red")
            self._show_blocks()

    def _read(self, came: Line | Changed | Received) -> None:
        if isinstance(came, Received):
            self._screen.received(came)
            return
        if isinstance(came, Changed):
            self._screen.say(f"{', '.join(came.names)} changed", style="bold")
            if came.is_settings:
                self._screen.say(
                    "settings are read at the start: end `deskbell dev` and start it again", style="yellow"
                )
                return
            self._mistakes.clear()
            self._reloads.begin()
            return
        if said := self._reloads.read(came):
            self._screen.say(said, style="bold")
        if came.process == "declared":  # what code prints as it is imported, the api and the workers show
            if came.event == EVENT:
                self._show_declared(came)
        elif mistake := mistake_in(came.text):
            self._show_mistake(came.process, mistake)
        elif self._blocks.add(came):
            self._show_blocks()
        else:
            self._screen.line(came)

    def _show_mistake(self, process: str, mistake: Mistake) -> None:
        if mistake.cause in self._mistakes:
            mistake = Mistake("the same mistake as above")
        self._mistakes.add(mistake.cause)
        self._screen.mistake(process, mistake)

    def _show_declared(self, line: Line) -> None:
        entry = line.entry or {}
        for warning in entry["warnings"]:
            self._screen.say(f"warning: {warning}", style="yellow")
        if entry["calls"] and entry["calls"] != self._calls:
            self._calls = entry["calls"]
            for call in self._calls:
                self._screen.say(f"deskbell send {call}", style="green")

    def _show_blocks(self) -> None:
        for each in self._blocks.take():
            if self._surplus.takes(each):
                continue
            if isinstance(each, Block):
                self._screen.block(each, self._event(each.event_id))
            else:
                self._screen.later(each)

        if summary := self._surplus.summary():
            self._screen.say(summary)

    def _event(self, event_id: str) -> Event | None:
        """The event as it is kept on Redis; None while it is on the disk, or when it is gone."""
        try:
            return event_from_wire(Job.fetch(event_id, self._redis, JSONSerializer).args[0])
        except (RedisError, NoSuchJobError, OSError):
            return None

    def _greet(self) -> None:
        stack = self._stack
        self._screen.table(
            [
                ("callback", f"{stack.api_url}{self._settings.secret_path}/callback"),
                ("console", stack.console_url),
                ("rq-dashboard", stack.dashboard_url),
                ("CRM", stack.crm_url),
                ("Desk's REST", stack.environment[f"{PREFIX}DESK_URL"]),
                ("Redis", _without_password(stack.environment["DESKBELL_REDIS_URL"])),
            ]
        )
        urls = (stack.api_url, stack.dashboard_url, stack.crm_url, stack.desk_url, stack.console_url)
        for port, url in zip((*_PORTS, _CONSOLE_PORT), urls, strict=True):
            if urlsplit(url).port != port:
                self._screen.say(f"the port {port} is taken, so {url} stands in for it", style="yellow")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _own_sources() -> list[Path]:
    """Deskbell's own packages in a checkout; none if they are installed."""
    root = Path(__file__).parents[3]
    names = ("api", "deskbell", "workers", "shared")
    return [root / name for name in names] if (root / "pyproject.toml").exists() else []
