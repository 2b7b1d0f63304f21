"""`deskbell audit`: who replayed, discarded, paused, resumed, forgot a user, or was refused."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deskbell.cli.settings.redis_here import redis_here
from shared.redaction import terminal_text
from workers.audit import AuditEntry, AuditLog

_PIPE_WIDTH = 1000
_WITH_COUNT = ("replay", "discard", "forget")


def audit(count: int, *, as_json: bool) -> None:
    """Print the last entries of the audit log."""
    with redis_here() as (redis, _):
        entries = AuditLog(redis).latest(count)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in entries], indent=1, default=datetime.isoformat))
    elif entries:
        console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
        console.print(_table(entries))
    else:
        typer.echo("nothing was done in the last 90 days")


def _table(entries: list[AuditEntry]) -> Table:
    table = Table("when", "who", "what", "which", "how many", "", box=None)
    table.columns[4].justify = "right"
    for each in entries:
        when = f"{each.began_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        done = f"{each.done:,}" if each.done or each.action in _WITH_COUNT else ""
        cells = (when, each.by, each.action, each.selection, done, each.end or "not ended")
        table.add_row(*(Text(terminal_text(cell), overflow="fold") for cell in cells))
    return table
