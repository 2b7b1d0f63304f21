"""The stacks that are compared: one process of an endpoint and one of a worker, with two jobs for each callback."""

from dataclasses import dataclass, replace

from bench.ack.endpoints import endpoint
from bench.ack.endpoints.endpoint import ENDPOINTS, Endpoint
from bench.environments import Installable, install
from bench.jobs.contenders import contender
from bench.jobs.contenders.contender import CONTENDERS, DRAMATIQ, SIMPLE, Contender

EVENTS, JOBS = "events", "default"
"""Our queues: of events, and of both job types."""


@dataclass(frozen=True, slots=True)
class Stack:
    """An endpoint and its worker.

    Attributes:
        endpoint: enqueues two jobs; ours keeps an event.
        worker: runs them.
    """

    endpoint: Endpoint
    worker: Contender

    @property
    def name(self) -> str:
        """As the table has it."""
        return self.worker.name

    def is_installed(self) -> bool:
        """Whether both can run; what is not there yet is installed."""
        parts: list[Installable] = [self.endpoint, self.worker]
        return install(parts) == parts


def _stack_of(worker: Contender, environment: str) -> Stack:
    """A contender's worker behind FastAPI with two enqueues."""
    (one,) = (each for each in ENDPOINTS if each.environment == environment)
    return Stack(replace(one, words=one.words.replace(":app ", ":app_for_two ")), worker)


def _worker(name: str) -> Contender:
    return next(each for each in CONTENDERS if each.name == name)


NOTHING = endpoint.NOTHING
"""What the CPU of our api is compared with."""

DESKBELL = Stack(
    endpoint.DESKBELL,
    replace(
        contender.DESKBELL,
        words="python -P -m deskbell worker --parent-fd -1",
        settings={"DESKBELL_JOBS": "bench.path.job_types:jobs"},
    ),
)
"""All queues, the default concurrency."""

FAN_OUT = replace(DESKBELL.worker, words="python -P -m deskbell worker events --parent-fd -1")
"""Our worker where it only fans events out."""

WITH_SIMPLE = _stack_of(SIMPLE, "rq-http")
WITH_CELERY = _stack_of(_worker("Celery"), "celery-http")
WITH_DRAMATIQ = _stack_of(DRAMATIQ, "dramatiq-http")
STACKS = [
    WITH_SIMPLE,
    WITH_CELERY,
    _stack_of(_worker("arq"), "arq-http"),
    _stack_of(_worker("taskiq"), "taskiq-http"),
    WITH_DRAMATIQ,
    DESKBELL,
]
