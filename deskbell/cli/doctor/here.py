"""The settings, the handlers, the job types and the disk of this host."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress

from api.acceptance.spool import survey
from deskbell.adapters.needs import missing
from deskbell.cli.agreement import disagreements_of, keyless
from deskbell.cli.doctor.findings import Checked
from deskbell.queues.findings import Finding, problem, said, warning
from shared.errors import ConfigError
from shared.loading import load_callbacks, load_jobs
from shared.traces.environment import destination

DRAIN_SECONDS = 2.0
LOW_BYTES = 500_000_000  # the alert DeskbellSpoolFilling has the same
_LOOK_SECONDS = 0.1


def locks(checked: Checked) -> Iterator[Finding]:
    """Whether the api would start, and who may call it."""
    settings = checked.settings
    if not checked.is_api:
        yield said("no DESKBELL_APPS: this host runs no api")
        return
    try:
        settings.require_authentication()
    except ConfigError as error:
        yield problem(f"the api does not start: {error}")
    for app_id, tokens in settings.apps.items():
        if settings.insecure and not settings.path_secret and not (tokens and settings.needs_sign(app_id)):
            yield problem(f"anybody may call as the app {app_id}: DESKBELL_INSECURE is set")


def handlers(checked: Checked) -> Iterator[Finding]:
    """Whether the handlers load, and for which apps they are."""
    if not checked.is_api:
        return
    try:
        loaded = load_callbacks(checked.settings).handlers
    except ConfigError as error:
        yield problem(f"the api does not start: {error}")
        return
    for handler in loaded:
        for app_id in sorted(handler.apps - checked.settings.apps.keys()):
            yield problem(f"the handler {handler.name} is limited to {app_id}, which is no app of DESKBELL_APPS")


def job_types(checked: Checked) -> Iterator[Finding]:
    """Whether the job types load, and have what they need."""
    if not checked.settings.jobs:
        yield said("no DESKBELL_JOBS: which queues job types use is not known here")
        return
    try:
        checked.jobs = load_jobs(checked.settings)
    except ConfigError as error:
        yield problem(f"workers do not start: {error}")
        return
    yield from map(problem, missing(checked.jobs.names, checked.settings))
    yield from map(warning, keyless(checked.jobs, checked.settings))


def agreement(checked: Checked) -> Iterator[Finding]:
    """Whether handlers and job types fit each other."""
    with suppress(ConfigError):  # said above
        yield from map(warning, disagreements_of(checked.settings))


def traces(_: Checked) -> Iterator[Finding]:
    """Whether traces are sent, by the environment of this host."""
    try:
        yield said(str(destination()))
    except ConfigError as error:
        yield problem(f"neither the api nor workers start: {error}")


def spool_folder(checked: Checked) -> Iterator[Finding]:
    """Whether events could be kept on this disk while Redis is away."""
    if not checked.is_api:
        return
    folder = checked.settings.spool_dir.absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())  # the api makes the rest, as its own user
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"0")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        yield problem(
            f"DESKBELL_SPOOL_DIR: expected a folder that can be written, got {folder}, {error.strerror}: "
            "while Redis is away callbacks are refused"
        )
        return
    free = shutil.disk_usage(there).free
    if free < LOW_BYTES:
        yield warning(f"the disk of DESKBELL_SPOOL_DIR, {folder}, has {free / 1e6:,.1f} MB left", "make room on it")


def spooled(checked: Checked) -> Iterator[Finding]:
    """What waits on this disk, of an api that runs or not, though Redis answers; and what is damaged there."""
    folder = checked.settings.spool_dir
    found = survey(folder)
    first, deadline = found.events, time.monotonic() + DRAIN_SECONDS
    while checked.takes_events and found.events >= first > 0 and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)  # an api that runs drains them
        found = survey(folder)
    waits = found.events
    if waits:
        age = round(max(0.0, time.time() - (found.oldest or 0)))
        text = f"{waits} events wait on this disk, in {folder}, the first for {age} s"
        if checked.takes_events and waits >= first:
            yield problem(
                f"{text}, though Redis answers the api",
                "start one with this DESKBELL_SPOOL_DIR to drain them; if one runs, its log says what Redis refuses "
                "(redis_away, redis_refuses)",
                "spooled",
            )
        else:
            yield said(text + (" (they are being drained)" if checked.takes_events else ""))
    for path in found.damaged:
        yield problem(
            f"{path} was set aside, or cannot be read, and may hold accepted events: see `sqlite3 {path} .recover`"
        )
