"""`deskbell doctor`: diagnostics, a check for each thing that can keep events or jobs from moving.

Read its modules in this order:

1. `findings`: what a check may find.
2. `here`: the settings, the handlers, the job types and the disk of this host.
3. `server`: the Redis server, and whether it takes events from the api.
4. `queues`: why jobs do not move.
5. `keys`: whether a key has a foreign type.
6. `tokens`: the apps, and when each token was last used.
"""

import sys

from redis.exceptions import RedisError
from rich.console import Console

from deskbell.cli.doctor.findings import Checked, Finding, could_not_read, problem
from deskbell.cli.doctor.here import agreement, handlers, job_types, locks, spool_folder, spooled
from deskbell.cli.doctor.keys import key_types
from deskbell.cli.doctor.queues import blocks, held, pauses, queue_table, suspended, unread_queues
from deskbell.cli.doctor.server import accepting, durability, forgotten, version
from deskbell.cli.doctor.tokens import token_table
from deskbell.cli.exit import stop
from deskbell.cli.settings.running import load_settings_here, no_redis
from shared.redaction import terminal_text
from shared.redis.connections import connect
from shared.settings.redis_url import RedisUrl

_HERE = (locks, handlers, job_types, agreement, spool_folder)
_ON_REDIS = (
    version,
    accepting,
    durability,
    forgotten,
    suspended,
    pauses,
    blocks,
    held,
    queue_table,
    unread_queues,
    key_types,
)


def doctor(api_redis_url: str | None = None) -> None:
    """Print what was found; exit with 1 if anything keeps events or jobs from moving, or may lose them."""
    if api_redis_url is not None:
        try:
            RedisUrl.parse(api_redis_url)
        except ValueError as error:
            stop(f"API_REDIS_URL: {error}, got a value not shown here")
    console = Console(soft_wrap=True, highlight=False)
    checked = Checked(load_settings_here(for_redis=True), api_redis_url)
    found = [finding for check in _HERE for finding in check(checked)]
    found += _on_redis(checked)
    found += spooled(checked)
    for finding in found:
        if finding.kind == "said":
            console.print(terminal_text(finding.text), markup=False)
    if checked.settings.apps:
        console.print(token_table(checked))
    for kind in ("warning", "unknown", "problem"):
        for finding in found:
            if finding.kind == kind:
                console.print(f"{kind}: {terminal_text(finding.text)}", markup=False)
    kinds = {finding.kind for finding in found}
    if "problem" in kinds:
        sys.exit(1)
    console.print("no problem found" + (", as far as could be checked" if "unknown" in kinds else ""))


def _on_redis(checked: Checked) -> list[Finding]:
    """What the checks of Redis find; nothing but one problem while it is away."""
    connection = connect(checked.settings)
    try:
        connection.ping()
    except (RedisError, OSError) as error:
        return [problem(no_redis(error, checked.settings))]
    checked.redis = connection
    found: list[Finding] = []
    for check in _ON_REDIS:
        try:
            found += check(checked)
        except Exception as error:  # noqa: BLE001 - a key may hold no value of RQ's or ours: the rest is told
            found.append(could_not_read(check, error))
    return found
