"""`deskbell dev`: the whole stack, restarted when code changes."""

import os
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from deskbell.cli.processes.signals import end_on_signals
from deskbell.cli.settings.running import FOLDER, Running, announced
from deskbell.cli.stack import NEEDS_DEV, Stack
from shared.errors import ConfigError
from shared.settings.config import Settings, load_settings
from shared.settings.proxies import check_proxies

try:
    from watchfiles import PythonFilter, watch
except ModuleNotFoundError as error:
    raise ConfigError(NEEDS_DEV) from error

_PORTS = (8000, 9181, 8010)


def dev() -> None:
    """Run the stack until Ctrl-C; restart api and workers when code changes."""
    end_on_signals()
    check_proxies()
    settings = load_settings()  # a wrong setting ends this at once: no change of code would help
    console = Console(soft_wrap=True, highlight=False)
    given = {name: value for name, value in os.environ.items() if name.startswith("DESKBELL_")}
    with (
        Stack(FOLDER, ports=_PORTS, given=given) as stack,
        announced(_running(stack, settings)),
        suppress(KeyboardInterrupt),
    ):
        _greet(stack, settings, console)
        _reload(stack, console)
    console.print("\nStopped.")


def _reload(stack: Stack, console: Console) -> None:
    """Restart api and workers whenever code changes, also after a mistake in the code has ended them."""
    watched = {Path(stack.environment.get("DESKBELL_APP_DIR", ".")), *_own_sources()}
    reported = None
    for changes in watch(*watched, watch_filter=PythonFilter(), yield_on_timeout=True, rust_timeout=1000):
        if changes:
            names = sorted({Path(path).name for _, path in changes})
            console.print(f"[bold]{', '.join(names)} changed: restarting[/bold]")
            stack.restart("api", "workers", "agreement")
            reported = None
        elif (name := stack.dead()) != reported:
            reported = name
            console.print(f"[bold]{name} has ended; its last lines above say why. Waiting for a change.[/bold]")


def _running(stack: Stack, settings: Settings) -> Running:
    return Running(os.getpid(), stack.api_url + _secret(settings), stack.environment)


def _secret(settings: Settings) -> str:
    return f"/{settings.path_secret.get_secret_value()}" if settings.path_secret else ""


def _greet(stack: Stack, settings: Settings, console: Console) -> None:
    console.print(f"api           {stack.api_url}{_secret(settings)}/callback")
    console.print(f"rq-dashboard  {stack.dashboard_url}")
    console.print(f"CRM           {stack.crm_url}")
    if not settings.model_fields_set & {"redis_url"}:  # a given URL may hold a password, and is known
        console.print(f"Redis         {stack.environment['DESKBELL_REDIS_URL']}")
    call = (
        "NODE NAME=VALUE" if settings.callbacks or settings.jobs else "order_status OrderID=1002"
    )  # else the shop of examples/ runs
    console.print(f"call it       deskbell send {call}, in this folder\n")


def _own_sources() -> list[Path]:
    """Deskbell's own packages in a checkout; none if they are installed."""
    root = Path(__file__).parents[2]
    return (
        [root / name for name in ("api", "deskbell", "workers", "shared")] if (root / "pyproject.toml").exists() else []
    )
