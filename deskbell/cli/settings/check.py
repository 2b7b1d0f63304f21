"""`deskbell check`: imports handlers and job types as the api and workers do, and prints what they declare."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from deskbell.adapters.needs import missing
from deskbell.cli.agreement import disagreements, keyless
from deskbell.cli.exit import stop
from deskbell.cli.settings.running import load_settings_here
from shared.declarations.functions import describe
from shared.errors import ConfigError
from shared.handlers.asking import AskHandler
from shared.handlers.callbacks import Callbacks
from shared.handlers.handler import Handler
from shared.handlers.late import is_ours
from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.late.policy import SUFFIX
from shared.loading import load_callbacks, load_jobs
from shared.redaction import terminal_text
from shared.settings.config import Settings
from shared.traces.environment import destination

_Kind = TypeVar("_Kind", Callbacks, Jobs)
_FAILED = 1
_PIPE_WIDTH = 400


@dataclass(frozen=True, slots=True)
class _Handler:
    name: str
    command: str
    inputs: list[str]
    outputs: list[str]
    fallback: bool
    late: str
    function: str


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    events: list[str]
    nodes: list[str]
    when: dict[str, str]
    queue: str
    attempts: int
    timeout: int
    function: str


@dataclass(slots=True)
class _Found:
    """What is declared, and what is wrong with it: a warning is no failure."""

    handlers: list[_Handler] = field(default_factory=list)
    jobs: list[_Job] = field(default_factory=list)
    lifespans: list[str] = field(default_factory=list)
    traces: str = ""
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(*, as_json: bool) -> None:
    """Print what is declared; exit with 1 if the api or the workers would not start with it."""
    settings = load_settings_here()
    if not (settings.callbacks or settings.jobs):
        stop(
            "DESKBELL_CALLBACKS, DESKBELL_JOBS: expected package.module:callbacks and package.module:jobs, got "
            "nothing: set them, in .env for example"
        )
    found = _Found()
    callbacks = _loaded(load_callbacks, settings, found) if settings.callbacks else None
    jobs = _loaded(load_jobs, settings, found) if settings.jobs else None
    found.handlers += map(_handler, callbacks.handlers if callbacks else [])
    found.jobs += map(_job, jobs.types if jobs else [])
    for registry in filter(None, (callbacks, jobs)):
        found.lifespans += [describe(each) for each in registry.lifespans.functions if not is_ours(each)]
    try:
        found.traces = str(destination())
    except ConfigError as error:
        found.problems.append(str(error))
    if callbacks and jobs:
        found.warnings += disagreements(callbacks, jobs)
    if jobs:
        found.warnings += [*missing(jobs.names, settings), *keyless(jobs, settings)]
    if as_json:
        json.dump(asdict(found), sys.stdout, ensure_ascii=False, indent=2)
        sys.stdout.write("\n")
    else:
        _print(found)
    sys.exit(_FAILED if found.problems else 0)


def _loaded(load: Callable[[Settings], _Kind], settings: Settings, found: _Found) -> _Kind | None:
    try:
        return load(settings)
    except ConfigError as error:
        found.problems.append(str(error))
        return None


def _handler(handler: Handler) -> _Handler:
    return _Handler(
        name=handler.name,
        command=handler.spec.event.COMMANDS[0],
        inputs=[parameter.name for parameter in handler.inputs.parameters],
        outputs=sorted({name for shape in handler.outputs.shapes for name in shape.names}),
        fallback=handler.fallback is not None,
        late=_late(handler),
        function=f"late= of {handler.name.removesuffix(SUFFIX)}"
        if isinstance(handler, AskHandler)
        else describe(handler.function),
    )


def _late(handler: Handler) -> str:
    if not handler.late:
        return ""
    policy = handler.late.policy
    runs = f"{policy.attempts} {'run' if policy.attempts == 1 else 'runs'} of {policy.timeout} s at most"
    return f"ticket out, values from {handler.late.node} after {runs}, for {policy.keep} s"


def _job(job: JobType) -> _Job:
    return _Job(
        name=job.name,
        events=[event.__name__ for event in job.events],
        nodes=sorted(job.nodes),
        when=job.when,
        queue=job.queue,
        attempts=job.attempts,
        timeout=job.timeout,
        function=describe(job.function),
    )


def _print(found: _Found) -> None:
    # Into a file or a pipe, no cell is folded.
    console = Console(soft_wrap=True, highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    handlers = Table("handler", "command", "inputs", "outputs", "fallback", "function", box=None)
    for each in found.handlers:
        names = ", ".join(each.inputs), ", ".join(each.outputs)
        handlers.add_row(each.name, each.command, *names, "yes" if each.fallback else "no", each.function)
    jobs = Table("job", "events", "only for", "queue", "attempts", "timeout", "function", box=None)
    for job in found.jobs:
        only = ", ".join([*job.nodes, *(f"{name}={value}" for name, value in job.when.items())])
        policy = job.queue, str(job.attempts), f"{job.timeout} s"
        jobs.add_row(job.name, ", ".join(job.events), only, *policy, job.function)
    for table in (handlers, jobs):
        if table.row_count:
            console.print(table)
            console.print()
    late = [f"late {handler.name}: {handler.late}" for handler in found.handlers if handler.late]
    for line in [*late, *(f"lifespan {lifespan}" for lifespan in found.lifespans), *filter(None, [found.traces])]:
        console.print(line)
    for kind, sentences in (("warning", found.warnings), ("problem", found.problems)):
        for sentence in sentences:
            console.print(f"{kind}: {terminal_text(sentence)}")
    if not found.problems:
        console.print(f"declared: {_many(len(found.handlers), 'handler')} and {_many(len(found.jobs), 'job type')}")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" + "s" * (count != 1)
