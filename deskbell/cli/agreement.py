"""Compares job types with handlers, for `deskbell doctor` and `deskbell dev`, which load both.

The api does not load jobs, and a worker loads no handlers. A job for a node without a handler is no error: its calls
are answered 1006 and kept, and the job runs for them. More often the node is misspelt.
"""

import sys
from collections.abc import Iterator, Mapping

from shared.declarations.functions import describe
from shared.declarations.nearest import advice
from shared.declarations.policies import BY_SESSION
from shared.handlers.callbacks import Callbacks
from shared.handlers.handler import Handler
from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.loading import load_callbacks, load_jobs
from shared.settings.config import Settings
from shared.settings.environment import PREFIX
from shared.wire.commands import ApiCall


def disagreements(callbacks: Callbacks, jobs: Jobs) -> Iterator[str]:
    """Sentences about job types: nodes that no handler has, and variables that no handler of their nodes declares."""
    nodes: dict[str, list[Handler]] = {}
    for handler in callbacks.handlers:
        if handler.is_node:
            nodes.setdefault(handler.name, []).append(handler)
    for handler in callbacks.handlers:
        if handler.late and not jobs.get(handler.late.job):
            yield (
                f"the handler {handler.name}, {describe(handler.function)}, has late=, and no job computes its values; "
                "write jobs.include(late.jobs(callbacks)), with from deskbell.jobs import late"
            )
    for job_type in jobs.types if nodes else []:
        for node in sorted(job_type.nodes - nodes.keys()):
            yield f"{_who(job_type)} is run for the node {node}, which no handler has{advice(node, nodes)}"
        yield from _unknown_variables(job_type, nodes)


def disagreements_of(settings: Settings) -> Iterator[str]:
    """The sentences about the job types and handlers of the settings; none if one of the two is not set."""
    if settings.callbacks and settings.jobs:
        yield from disagreements(load_callbacks(settings), load_jobs(settings))


def keyless(jobs: Jobs, settings: Settings) -> Iterator[str]:
    """A sentence for each app that the job types cannot talk to Desk for; one where no app is known here."""
    if "deskbell.desk" not in sys.modules:  # nobody has imported it; it imports httpx, which is slow
        return
    from deskbell.desk import Desks  # noqa: PLC0415 - see above

    if any(isinstance(getattr(each, "__self__", None), Desks) for each in jobs.lifespans.functions):
        apps = settings.apps if settings.apps or settings.desk_keys else {"1400000001": []}
        for app in sorted(apps.keys() - settings.desk_keys.keys()):
            who = f"the app {app}" if settings.apps else "any app"
            yield (
                f"job types talk to Desk, and {PREFIX}DESK_KEYS has no secret key of {who}: such jobs are dead letters "
                f'at once; write {PREFIX}DESK_KEYS={{"{app}": "key"}}'
            )


def _unknown_variables(job_type: JobType, nodes: Mapping[str, list[Handler]]) -> Iterator[str]:
    """Variables in a job's `when=` or `ordered_by=` that no handler of its nodes declares."""
    if job_type.events != (ApiCall,) or not job_type.nodes or not job_type.nodes <= nodes.keys():
        return
    handlers = [handler for node in job_type.nodes for handler in nodes[node]]
    if any(handler.event_parameter for handler in handlers):
        return  # it may read any variable
    declared = {name for handler in handlers for name in (*handler.inputs.names, *handler.when)}
    key = [job_type.ordered_by] if job_type.ordered_by not in (None, BY_SESSION) else []
    for name in dict.fromkeys([*job_type.when, *key]):
        if name not in declared and not str(name).startswith("System"):
            yield (
                f"{_who(job_type)} asks for the variable {name}, which no handler of its nodes declares"
                f"{advice(str(name), declared)}"
            )


def _who(job_type: JobType) -> str:
    return f"the job {job_type.name}, {describe(job_type.function)},"
