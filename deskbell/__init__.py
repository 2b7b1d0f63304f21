"""What an integrator imports: `from deskbell import Callbacks, Jobs, ApiCall`.

Also public: `testing`, for the tests of handlers and jobs; `cache`, values that jobs compute and handlers answer with;
`desk`, Desk's REST commands; and `jobs`, the job types that ship, which are made of `adapters` and `http`, the HTTP
client. `simulator` is the other side, Tencent Cloud Desk; `flow` plays conversations as Desk leads them. `cli` is the
command; what it shares with the console is in `queues` (as they stand), `calls` (callbacks on record),
`dead_letters`, `describe` (what handlers declare), `unknowns` (what came and no page lists) and `personal_data` (what
is kept of one user). `_own` makes sure that `shared` is Deskbell's. Everything else is in `api`,
`console`, `workers` and `shared`, and not public.
"""

from deskbell import _own  # noqa: F401 - first
from shared.declarations.kind import Kind
from shared.declarations.personal import Personal
from shared.declarations.policies import Backoff, Breaker, Concurrency
from shared.errors import Discard, Refuse, Retry, Unavailable
from shared.handlers.callbacks import Callbacks
from shared.handlers.results import Assignment
from shared.jobs.jobs import Jobs
from shared.late.policy import Late
from shared.settings.config import Settings
from shared.wire.commands import (
    ApiCall,
    AssignAgent,
    BeforeContactUser,
    C2CSignal,
    MemberEvent,
    OtherEvent,
    SessionEvent,
    TaskFlowEvent,
)
from shared.wire.events import Event
from shared.wire.forgotten import UserForgotten

__all__ = [
    "ApiCall",
    "AssignAgent",
    "Assignment",
    "Backoff",
    "BeforeContactUser",
    "Breaker",
    "C2CSignal",
    "Callbacks",
    "Concurrency",
    "Discard",
    "Event",
    "Jobs",
    "Kind",
    "Late",
    "MemberEvent",
    "OtherEvent",
    "Personal",
    "Refuse",
    "Retry",
    "SessionEvent",
    "Settings",
    "TaskFlowEvent",
    "Unavailable",
    "UserForgotten",
]
