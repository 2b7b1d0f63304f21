"""The other hosts of the api: events that wait in the spool of one that is gone are nowhere else."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime

from deskbell.cli.doctor.findings import Checked
from deskbell.queues.findings import Finding, problem, said, warning
from shared.redis.api_hosts import API_HOSTS_KEY, ApiHost, read_api_hosts

_FORGOTTEN_SECONDS = 7 * 24 * 3600


def other_hosts(checked: Checked) -> Iterator[Finding]:
    """Which hosts of the api have events in their spools, or have gone without a word."""
    here = f"{socket.gethostname()}:{checked.settings.spool_dir.absolute()}"  # `spooled` looks at that itself
    for each in read_api_hosts(checked.connection.hgetall(API_HOSTS_KEY)):
        if each.field != here:
            yield from _of(each)


def _of(each: ApiHost) -> Iterator[Finding]:
    at = f"{datetime.fromtimestamp(each.noted, UTC):%Y-%m-%d %H:%M:%S} UTC"
    where = f"the spool {each.folder} of the host {each.host}"
    if each.events and each.is_gone:
        yield problem(
            f"{each.events} events waited in {where} at {at}, and no api runs there",
            "start one with that DESKBELL_SPOOL_DIR to drain them",
            "spooled",
        )
    elif each.events:
        yield said(f"{each.events} events wait in {where}")
    elif each.is_gone and not each.has_ended and each.age < _FORGOTTEN_SECONDS:
        yield warning(
            f"the api of the host {each.host} was last heard of at {at}, and was not told to end: what it kept in its "
            f"spool {each.folder} afterwards is there alone"
        )
