"""What an integrator imports. The rest of this package is shared by `api` and `workers`, and is not public."""

from shared.callbacks import Callbacks
from shared.config import Settings
from shared.errors import Discard, Refuse, Retry
from shared.events import ApiCall, Event, OtherEvent
from shared.jobs import Jobs
from shared.policies import Backoff, Breaker, Concurrency

__all__ = [
    "ApiCall",
    "Backoff",
    "Breaker",
    "Callbacks",
    "Concurrency",
    "Discard",
    "Event",
    "Jobs",
    "OtherEvent",
    "Refuse",
    "Retry",
    "Settings",
]
