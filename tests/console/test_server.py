"""The process: what it has imported and compiled before it serves a page."""

import os
import subprocess
import sys
from pathlib import Path

from redis import Redis
from rq import Worker

from deskbell.cli.processes.listening import listen
from tests.console.browsing import Browser
from tests.console.everything import fill
from tests.processes import unmeasured
from tests.waiting import DEADLINE_SECONDS

_TELLS = """
import sys

def tell(event, given):
    if event in {"import", "compile"}:
        sys.stdout.write(f"{event} {given[event == 'compile']}\\n")
        sys.stdout.flush()

sys.addaudithook(tell)
from deskbell.cli.main import main
main()
"""
"""A command that says what it imports and compiles, between the lines of its log."""


def test_no_page_imports_or_compiles_anything(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """Whoever opens a console first waits for neither: its process has done both before it serves."""
    Worker(["crm"], connection=redis).register_birth()
    addresses = fill(redis, "text")
    settings = {"REDIS_URL": valkey_url, "CALLBACKS": "examples.shop.callbacks:callbacks", "LOG_FORMAT": "json"}
    variables = unmeasured(DESKBELL_ENV_FILE=os.devnull, **{f"DESKBELL_{name}": it for name, it in settings.items()})
    told = tmp_path / "told"

    with told.open("w") as file, listen("127.0.0.1", 0) as listener:
        words = [sys.executable, "-c", _TELLS, "console", "--fd", str(listener.fileno())]
        process = subprocess.Popen(words, env=variables, pass_fds=[listener.fileno()], stdout=file)
        try:
            with Browser(f"http://127.0.0.1:{listener.getsockname()[1]}") as browser:
                refused = _refused(browser)
                statuses = [browser.get(address).status_code for address in addresses]
                refused += _refused(browser)
        finally:
            process.kill()
            process.wait()

    lines = told.read_text().splitlines()
    first, last = (number for number, line in enumerate(lines) if "console_refused" in line)
    before, meanwhile = lines[:first], lines[first + 1 : last]
    assert (refused, set(statuses)) == ([403, 403], {200, 404})
    assert "import deskbell.cli.main" in before
    assert meanwhile == []


def _refused(browser: Browser) -> list[int]:
    """What another site's page is answered, of which the log has a line; no page of the console is asked."""
    return [browser.post("/", headers={"Sec-Fetch-Site": "cross-site"}, timeout=DEADLINE_SECONDS).status_code]
