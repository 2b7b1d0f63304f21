"""The endpoints that acknowledge, one process each: how each is installed and started, and what it is sent."""

from dataclasses import dataclass
from pathlib import Path

from bench.ack.endpoints.callback import PATH
from bench.environments import FOLDER

_HTTP = ("fastapi", "uvicorn", "uvloop", "httptools", "hiredis")
_LOCK = ("--require-hashes", "-r", "requirements.lock")
_UVICORN = "uvicorn --loop uvloop --http httptools --no-access-log --log-level warning bench.ack.endpoints."


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One that acknowledges.

    Attributes:
        name: as the table has it.
        words: what Python's `-m` is given; the port is added.
        queue: the key of the list, stream or sorted set that what was acknowledged waits on; "" when nothing is kept.
        packages: what pip installs.
        environment: the folder it is installed in, under `.bench`.
        path: of the URL.
        before, after: what stands around the packet in the body.
    """

    name: str
    words: str
    queue: str
    packages: tuple[str, ...]
    environment: str
    path: str = PATH
    before: str = ""
    after: str = ""

    def command(self, port: int) -> list[str]:
        """The command that starts it."""
        return [str((FOLDER / self.environment / "bin" / "python").absolute()), "-m", *self.words.split(), str(port)]

    @property
    def is_signed(self) -> bool:
        """Whether it is sent a callback's query, whose Sign the Deskbell one checks."""
        return self.path == PATH

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return FOLDER / f"{self.environment}-{self.name.partition(' ')[0]}.log"


NOTHING = Endpoint("validates, does nothing", f"{_UVICORN}nothing:app --port", "", _LOCK, "deskbell")
WITH_RQ = Endpoint("FastAPI + RQ enqueue", f"{_UVICORN}with_rq:app --port", "rq:queue:bench", ("rq", *_HTTP), "rq-http")
DESKBELL = Endpoint("Deskbell", "deskbell api --parent-fd -1 --port", "rq:queue:events", _LOCK, "deskbell")
ENDPOINTS = [
    NOTHING,
    WITH_RQ,
    Endpoint(
        "FastAPI + Celery", f"{_UVICORN}with_celery:app --port", "celery", ("celery[redis]", *_HTTP), "celery-http"
    ),
    Endpoint(
        "FastAPI + dramatiq",
        f"{_UVICORN}with_dramatiq:app --port",
        "dramatiq:default",
        ("dramatiq[redis]", *_HTTP),
        "dramatiq-http",
    ),
    Endpoint("FastAPI + arq", f"{_UVICORN}with_arq:app --port", "arq:queue", ("arq", *_HTTP), "arq-http"),
    Endpoint(
        "FastAPI + taskiq",
        f"{_UVICORN}with_taskiq:app --port",
        "taskiq",
        ("taskiq", "taskiq-redis", *_HTTP),
        "taskiq-http",
    ),
    Endpoint(
        "rasa-sdk + RQ enqueue",
        "rasa_sdk --actions bench.ack.endpoints.rasa_actions --port",
        "rq:queue:bench",
        ("rasa-sdk", "rq", "hiredis"),
        "rasa",
        path="/webhook",
        before='{"next_action":"summary","sender_id":"user517","version":"3.21.1","domain":{},"tracker":{"sender_id":'
        '"user517","slots":{"packet":',
        after='},"latest_message":{},"events":[],"paused":false,"followup_action":null,"active_loop":{},'
        '"latest_action_name":null}}',
    ),
    Endpoint(
        "slack-bolt + RQ enqueue",
        f"{_UVICORN}with_slack:app --port",
        "rq:queue:bench",
        ("slack-bolt", "rq", *_HTTP),
        "slack",
        path="/slack/events",
        before='{"type":"event_callback","team_id":"T1","api_app_id":"A1","event_id":"Ev1","event_time":1731488371,'
        '"event":{"type":"message","user":"user517","channel":"C1","ts":"1731488371.000100","text":"","packet":',
        after="}}",
    ),
    DESKBELL,
]
