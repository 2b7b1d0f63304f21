"""What must be turned on in the console because a job subscribes to it, and the token that signs."""

from collections.abc import Iterable
from dataclasses import dataclass

from deskbell.describe.console import PLACES
from shared.handlers.handler import Handler
from shared.jobs.job_type import JobType
from shared.settings.config import Settings
from shared.wire.commands import ApiCall
from shared.wire.events import Event
from shared.wire.protocol import fingerprint


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A job type that wants a callback.

    Attributes:
        when: names and texts that fields must have; empty means all.
        apps: the apps it is limited to; empty means all.
    """

    name: str
    when: dict[str, str]
    apps: list[str]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A callback that job types want.

    Attributes:
        where: the page of the console that turns it on.
        lacks_handler: whether Desk uses the answer, and no handler gives one.
    """

    command: list[str]
    where: str
    url: str
    lacks_handler: bool
    jobs: list[Subscriber]


@dataclass(frozen=True, slots=True)
class AppTokens:
    """How the callbacks of an app are signed.

    Attributes:
        tokens: each token, or its fingerprint.
        is_required: whether a callback without `Sign` is refused.
    """

    app: str
    tokens: list[str]
    is_required: bool


def subscriptions(jobs: Iterable[JobType], handlers: Iterable[Handler], url: str) -> list[Subscription]:
    """The callbacks that job types name, without API calls, whose nodes are handlers' or written by a flow."""
    jobs = list(jobs)
    answered = {handler.spec.event for handler in handlers}
    found = []
    for kind, place in PLACES.items():
        wanting = [_subscriber(each) for each in jobs if kind in each.events]
        if wanting and kind is not ApiCall:
            lacks_handler = bool(place.on_fail) and kind not in answered
            found.append(Subscription(list(kind.COMMANDS), place.where, url, lacks_handler, wanting))
    return found


def takers_of_all(jobs: Iterable[JobType]) -> list[str]:
    """The job types that run for whatever comes."""
    return [each.name for each in jobs if Event in each.events]


def _subscriber(job_type: JobType) -> Subscriber:
    return Subscriber(job_type.name, dict(job_type.when), sorted(job_type.apps))


def app_tokens(settings: Settings, *, reveal: bool) -> list[AppTokens]:
    """The tokens of each app, by fingerprint unless they are to be revealed."""
    return [
        AppTokens(
            app,
            [token.get_secret_value() if reveal else fingerprint(token.get_secret_value()) for token in tokens],
            bool(tokens) and settings.needs_sign(app),
        )
        for app, tokens in settings.apps.items()
    ]
