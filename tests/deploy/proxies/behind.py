"""An api behind a proxy of Debian's; the api's port belongs to the test, as it belongs to systemd on a machine."""

import json
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest

from deskbell.cli.processes.listening import listen
from tests.debian import program
from tests.desk import APP, TOKEN, Desk
from tests.processes import PATIENT, unmeasured
from tests.tls import AUTHORITY, CERTIFICATES
from tests.waiting import until

PATIENCE_SECONDS = 60
DEPLOY = Path(__file__).parents[3] / "deploy"
SLOW_SECONDS = "1s"
"""How long the proxies wait for a slow sender here, and not 5 s."""

CALLBACKS = """
from deskbell import Callbacks

callbacks = Callbacks()

@callbacks.api_call("greeting")
def greeting() -> dict[str, str]:
    return {"Greeting": "good day"}
"""


class Api:
    """`deskbell api` on a socket that outlives it."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self._redis_url = redis_url
        self._folder = folder
        self.listener = listen("127.0.0.1", 0)
        self.port = int(self.listener.getsockname()[1])
        self.log = folder / "api.log"
        (folder / "acme.py").write_text(CALLBACKS)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str) -> None:
        """Start it with some settings."""
        fd = self.listener.fileno()
        ours = {
            "DESKBELL_REDIS_URL": self._redis_url,
            "DESKBELL_APPS": json.dumps({APP: [TOKEN]}),
            "DESKBELL_CALLBACKS": "acme:callbacks",
        }
        env = unmeasured(**ours | PATIENT | settings)
        command = [sys.executable, "-P", "-m", "deskbell", "api", "--fd", str(fd)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, env=env, pass_fds=[fd], stdout=log)

    def stop(self) -> None:
        """Tell it to end, and wait until it has; callbacks wait on the socket."""
        if self._process:
            self._process.terminate()
            assert self._process.wait(PATIENCE_SECONDS) == 0
            self._process = None

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines of a kind, of all that were started."""
        lines = map(json.loads, self.log.read_text().rpartition("\n")[0].splitlines())
        return [line for line in lines if line["event"] == event]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        self.listener.close()


class Proxy:
    """A proxy in front of an api.

    Attributes:
        url: where it answers.
        desk: posts to it.
    """

    def __init__(self, port: int, authority: Path, folder: Path) -> None:
        self.url = f"https://localhost:{port}"
        self.desk = Desk(self.url)
        self._port = port
        self._folder = folder
        self._context = ssl.create_default_context(cafile=authority)

    def send_slowly(self, *pieces: bytes) -> bytes:
        """Send pieces of a request and no more; what comes until the connection is closed."""
        with (
            socket.create_connection(("localhost", self._port)) as plain,
            self._context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            for piece in pieces:
                connection.sendall(piece)
            connection.settimeout(PATIENCE_SECONDS)
            received = b""
            with suppress(ssl.SSLError, ConnectionError):
                while part := connection.recv(4096):
                    received += part
            return received

    def written(self) -> str:
        """All that it has written: logs, and what it says of itself."""
        return "".join(path.read_text() for path in self._folder.rglob("*.log"))


@contextmanager
def nginx(api: Api, folder: Path) -> Iterator[Proxy]:
    """Debian's nginx with deploy/nginx/deskbell.conf; names, ports and paths are the test's."""
    port, plain_port = free_port(), free_port()
    text = (DEPLOY / "nginx" / "deskbell.conf").read_text()
    for old, new in {
        "127.0.0.1:8000": f"127.0.0.1:{api.port}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "listen 80": f"listen 127.0.0.1:{plain_port}",
        "desk.example.com": "localhost",
        "/etc/ssl/localhost.pem": f"{CERTIFICATES}/server.pem",
        "/etc/ssl/localhost.key": f"{CERTIFICATES}/server.pem",
        "/var/log/nginx": f"{folder}",
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    text = re.sub(r"(client_\w+_timeout) 5s", rf"\1 {SLOW_SECONDS}", text)
    text = re.sub(r"(proxy_\w+_timeout) 5s", r"\1 60s", text)  # the machine may be busy
    with nginx_with(text, port, folder) as proxy:
        yield proxy


@contextmanager
def nginx_with(text: str, port: int, folder: Path) -> Iterator[Proxy]:
    """Debian's nginx with what an `http` block may hold, which listens on a port."""
    binary = program("nginx", "nginx")
    temporary = "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/pid; worker_processes 1; error_log {folder}/main.log warn; user root;"
        f"events {{}} http {{ {temporary} {text} }}"
    )
    with _running([binary, "-e", f"{folder}/start.log", "-c", str(config)], port, folder, AUTHORITY) as proxy:
        yield proxy


@contextmanager
def caddy(api: Api, folder: Path) -> Iterator[Proxy]:
    """Debian's Caddy with deploy/caddy/Caddyfile; its certificate is of an authority of its own, as for `localhost`."""
    binary = program("caddy", "caddy")
    port = free_port()
    text = (DEPLOY / "caddy" / "Caddyfile").read_text()
    for old, new in {
        "\n{\n": f"\n{{\n\tadmin off\n\tauto_https disable_redirects\n\thttps_port {port}\n",
        "api:8000": f"127.0.0.1:{api.port}",
        "response_header_timeout 5s": "response_header_timeout 60s",
        "read_body 5s": f"read_body {SLOW_SECONDS}",
    }.items():
        assert old in text, old
        text = text.replace(old, new, 1)
    (folder / "Caddyfile").write_text(text)
    command = [binary, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    authority = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    env = {"PUBLIC_HOST": "localhost", "XDG_DATA_HOME": str(folder), "HOME": str(folder)}
    with _running(command, port, folder, authority, **env) as proxy:
        yield proxy


@contextmanager
def _running(command: list[str], port: int, folder: Path, authority: Path, **env: str) -> Iterator[Proxy]:
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **env}, stdout=log, stderr=log)
    try:
        until(lambda: process.poll() is not None or (_listens(port) and authority.exists()), PATIENCE_SECONDS)
        assert process.poll() is None, (folder / "output.log").read_text()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(authority))  # whom httpx trusts
            proxy = Proxy(port, authority, folder)
            with proxy.desk.http:
                yield proxy
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
