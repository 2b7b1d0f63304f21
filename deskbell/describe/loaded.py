"""The handlers and job types that settings name, and the URL of callbacks."""

from shared.errors import ConfigError
from shared.handlers.callbacks import Callbacks
from shared.jobs.job_type import JobType
from shared.loading import load_callbacks, load_jobs
from shared.sentences import sentence
from shared.settings.config import Settings

_NOTHING = sentence("nothing: set it, in .env for example")
_SECRET = "<DESKBELL_PATH_SECRET>"  # noqa: S105 - what stands in its place


def callbacks_to_describe(settings: Settings) -> Callbacks:
    """The handlers, of which there is one at least.

    Raises:
        ConfigError: there is none, or they cannot be loaded.
    """
    callbacks = load_callbacks(settings)
    if not callbacks.handlers:
        got = sentence("none in {names}", names=settings.callbacks) if settings.callbacks else _NOTHING
        raise ConfigError(
            sentence(
                "DESKBELL_CALLBACKS: expected package.module:callbacks with handlers to describe, got {got}", got=got
            )
        )
    return callbacks


def job_types_to_describe(settings: Settings) -> list[JobType]:
    """The job types; none where no setting names them.

    Raises:
        ConfigError: they cannot be loaded.
    """
    return load_jobs(settings).types if settings.jobs else []


def callback_url(url: str, settings: Settings, *, reveal_secret: bool = False) -> str:
    """The URL of callbacks without a node, at a host such as `https://your.host`."""
    if settings.path_secret is None:
        return f"{url.rstrip('/')}/callback"
    secret = settings.path_secret.get_secret_value() if reveal_secret else _SECRET
    return f"{url.rstrip('/')}/{secret}/callback"
