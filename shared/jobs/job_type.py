"""A job type: the integrator's function, the events it subscribes to, and how its jobs are run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.declarations.functions import is_async
from shared.declarations.policies import BY_SESSION, Backoff, Breaker, Concurrency, Rate
from shared.settings.config import Settings
from shared.wire.events import Event
from shared.wire.json_values import text


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType:
    """A function that is run for events, and how; the options are those of `Jobs.on`.

    Attributes:
        apps, nodes: those it is run for; empty means all.
        keep: seconds for which a finished job and its result are kept.
        event_parameter, settings_parameter: the parameters that take the event and, if there is one, the settings.
        is_async: whether the function runs on the event loop.
    """

    name: str
    function: Callable[..., Any]
    events: tuple[type[Event], ...]
    apps: frozenset[str]
    nodes: frozenset[str]
    when: dict[str, str]
    event_parameter: str
    settings_parameter: str | None
    queue: str = "default"
    attempts: int = 8
    timeout: int = 60
    isolation: Literal["process"] | None = None
    backoff: Backoff = field(default_factory=Backoff)
    keep: int = 500
    limit: Rate | Concurrency | None = None
    breaker: Breaker | None = None
    ordered_by: str | None = None
    on_dead: Literal["continue", "hold"] = "continue"
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_async", is_async(self.function))  # once: each job asks

    def wants(self, event: Event) -> bool:
        """Whether a job of this type is to be run for an event."""
        return (
            (isinstance(event, self.events) if event.IS_CALLBACK else type(event) in self.events)
            and (not self.apps or event.app_id in self.apps)
            and (not self.nodes or event.node in self.nodes)
            and event.matches(self.when)
        )

    @property
    def type_slug(self) -> str:
        """The name as ids of its jobs and keys in Redis hold it: RQ admits no dot in ids, our names have no dash."""
        return self.name.replace(".", "-")

    def order_key(self, event: Event) -> str:
        """The key whose jobs are run in order; "" when the job of this event is not ordered."""
        if self.ordered_by is None:
            return ""
        return event.session_id if self.ordered_by == BY_SESSION else text(event.fields.get(self.ordered_by))

    def arguments(self, event: Event, settings: Settings) -> dict[str, Any]:
        """The function's arguments for an event."""
        own = {self.settings_parameter: settings} if self.settings_parameter else {}
        return {self.event_parameter: event, **own}
