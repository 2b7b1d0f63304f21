"""Desk's REST commands in jobs: a client for each app of the settings, over one pool for each worker process.

desks = Desks()
jobs.lifespan(desks.lifespan)

@jobs.on(ApiCall, node="invoice", queue="messages")
async def send_invoice(event: ApiCall) -> None:
    await desks.of(event).send_msg(event.session_id, [text("…")], random=msg_random(event, "send_invoice"))
"""

from collections.abc import AsyncIterator

from deskbell import Event, Settings
from deskbell.desk.client import DeskClient
from deskbell.http import async_client
from shared.errors import ConfigError, DeskbellError
from shared.settings.urls import desk_host


class Desks:
    """The clients of a process, which are there while its lifespan is. They are for `async def` jobs."""

    def __init__(self) -> None:
        self._clients: dict[str, DeskClient] | None = None

    async def lifespan(self, settings: Settings) -> AsyncIterator[None]:
        """What `jobs.lifespan` is given: opens the pool and closes it. It asks nobody."""
        async with async_client(desk_host(settings.desk_url)) as http:
            self._clients = {
                app: DeskClient(app, key, identifier=settings.desk_identifier, url=settings.desk_url, http=http)
                for app, key in settings.desk_keys.items()
            }
            yield
        self._clients = None

    def of(self, event: Event | str) -> DeskClient:
        """The client of an event's app, or of an app.

        Raises:
            ConfigError: the settings have no secret key of the app.
            DeskbellError: the lifespan was not declared.
        """
        if self._clients is None:
            raise DeskbellError("Desks.of: nothing is open; write jobs.lifespan(desks.lifespan)")
        app = event if isinstance(event, str) else event.app_id
        if app not in self._clients:
            raise ConfigError(
                f'DESKBELL_DESK_KEYS: expected the secret key of the app {app}, {{"{app}": "key"}}, got none'
            )
        return self._clients[app]
