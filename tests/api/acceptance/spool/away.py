"""What the tests of the spool have in common: no Redis, and the api as a process."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from tests.desk import APP, TOKEN, Desk
from tests.processes import environment

NOWHERE = SecretStr("redis://127.0.0.1:1/0")


@contextmanager
def api_process(
    folder: Path, given: dict[str, str], *arguments: str, before: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], Desk]]:
    """`deskbell api` as a process of its own; killed in the end.

    Args:
        folder: where it runs.
        given: settings.
        *arguments: of the command.
        before: words that the command is an argument of.
    """
    variables = {
        "APPS": f'{{"{APP}": ["{TOKEN}"]}}',
        "LONG_BUDGET": "1",
        "BUDGET_MS": "5000",
        "ACCEPT_MS": "4000",
    } | given
    command = [*before, sys.executable, "-P", "-m", "deskbell", "api", "--port", "0", *arguments]

    with subprocess.Popen(
        command,
        env=environment(**{f"DESKBELL_{name}": value for name, value in variables.items()}),
        cwd=folder,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        desk = Desk(f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        try:
            yield process, desk
        finally:
            desk.http.close()
            process.kill()
