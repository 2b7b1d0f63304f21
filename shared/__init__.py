"""What an integrator imports. The rest of this package is shared by `api` and `workers`, and is not public."""

from shared.callbacks import Callbacks
from shared.config import Settings
from shared.errors import Discard, Refuse, Retry
from shared.events import ApiCall, Event, OtherEvent
from shared.jobs import Jobs

__all__ = [
    "ApiCall",
    "Callbacks",
    "Discard",
    "Event",
    "Jobs",
    "OtherEvent",
    "Refuse",
    "Retry",
    "Settings",
]
