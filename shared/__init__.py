"""What an integrator imports. The rest of this package is shared by `api` and `workers`, and is not public."""

from shared.callbacks import Callbacks
from shared.commands import (
    ApiCall,
    AssignAgent,
    BeforeContactUser,
    C2CSignal,
    MemberEvent,
    OtherEvent,
    SessionEvent,
    TaskFlowEvent,
)
from shared.config import Settings
from shared.errors import Discard, Refuse, Retry, Unavailable
from shared.events import Event
from shared.jobs import Jobs
from shared.policies import Backoff, Breaker, Concurrency
from shared.results import Assignment
from shared.variables import Kind

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
    "MemberEvent",
    "OtherEvent",
    "Refuse",
    "Retry",
    "SessionEvent",
    "Settings",
    "TaskFlowEvent",
    "Unavailable",
]
