"""The contenders: how each is installed, and how its worker is started; one process that works in each."""

from dataclasses import dataclass, field
from pathlib import Path

from bench.environments import FOLDER

CONCURRENCY, WAITING = 64, 128
"""Jobs that ours performs at once: its default, and what the waiting workload is measured with."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A contender.

    Attributes:
        name: as the table has it.
        module: its jobs and client, in this package.
        words: the worker's command, from `bin` of its environment; `{slots}` and `{url}` are filled in.
        slots: how many jobs it performs at once, its own default, and when they only wait.
        expected: jobs/s by workload, for how many jobs the first round has; the next ones go by what was measured.
        packages: what pip installs.
        environment: the folder it is installed in, under `.bench`.
        settings: environment variables of its own.
    """

    name: str
    module: str
    words: str
    slots: tuple[int, int]
    expected: dict[str, float]
    packages: tuple[str, ...]
    environment: str
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def binaries(self) -> Path:
        """Where its commands are."""
        return (FOLDER / self.environment / "bin").absolute()

    def slots_for(self, workload: str) -> int:
        """How many jobs it performs at once."""
        return self.slots[workload.startswith("wait")]

    def command(self, slots: int, url: str) -> list[str]:
        """The command that starts its worker."""
        program, *words = self.words.format(slots=slots, url=url).split()
        return [str(self.binaries / program), *words]


_RQ = "rq worker --url {url} --serializer rq.serializers.JSONSerializer --worker-class"
_RQ_PACKAGES = ("rq", "hiredis")

DESKBELL = Contender(
    name="Deskbell",
    module="deskbell_jobs",
    words="python -P -m deskbell worker bench --parent-fd -1 --concurrency {slots}",
    slots=(CONCURRENCY, WAITING),
    expected={"nothing": 8000, "nothing_def": 4000, "cpu": 190, "wait": 2000},
    packages=("--require-hashes", "-r", "requirements.lock"),
    environment="deskbell",
    settings={"DESKBELL_JOBS": "bench.jobs.contenders.deskbell_jobs:jobs"},
)
SIMPLE = Contender(
    name="RQ SimpleWorker",
    module="rq_jobs",
    words=f"{_RQ} rq.SimpleWorker bench",
    slots=(1, 1),
    expected={"nothing": 450, "cpu": 140, "wait": 19},
    packages=_RQ_PACKAGES,
    environment="rq",
)
DRAMATIQ = Contender(
    name="dramatiq",
    module="dramatiq_jobs",
    words="dramatiq bench.jobs.contenders.dramatiq_jobs --processes 1 --threads {slots}",
    slots=(8, WAITING),
    expected={"nothing": 2000, "cpu": 180, "wait": 2000},
    packages=("dramatiq[redis]", "hiredis"),
    environment="dramatiq",
)
CONTENDERS = [
    Contender(
        name="RQ Worker",
        module="rq_jobs",
        words=f"{_RQ} rq.Worker bench",
        slots=(1, 1),
        expected={"nothing": 90, "cpu": 60, "wait": 15},
        packages=_RQ_PACKAGES,
        environment="rq",
    ),
    SIMPLE,
    Contender(
        name="Celery",
        module="celery_jobs",
        words="celery -A bench.jobs.contenders.celery_jobs worker --pool prefork --concurrency 1",
        slots=(1, 1),
        expected={"nothing": 600, "cpu": 150, "wait": 19},
        packages=("celery[redis]", "hiredis"),
        environment="celery",
    ),
    DRAMATIQ,
    Contender(
        name="arq",
        module="arq_jobs",
        words="arq bench.jobs.contenders.arq_jobs.WorkerSettings",
        slots=(10, WAITING),
        expected={"nothing": 200, "cpu": 150, "wait": 1200},
        packages=("arq", "hiredis"),
        environment="arq",
    ),
    Contender(
        name="taskiq",
        module="taskiq_jobs",
        words="taskiq worker bench.jobs.contenders.taskiq_jobs:broker --workers 1 --max-async-tasks {slots}",
        slots=(100, WAITING),
        expected={"nothing": 1500, "cpu": 170, "wait": 1500},
        packages=("taskiq", "taskiq-redis", "hiredis"),
        environment="taskiq",
    ),
    DESKBELL,
]
