"""Reads what the stand-in has received, from another process."""

from collections.abc import Sequence

from deskbell.http import NO_ANSWER, client
from deskbell.simulator.rest.received import Received
from shared.errors import DeskbellError
from shared.settings.urls import DESK_HOSTS, desk_host
from shared.wire.json_values import read_json


class NoStandInError(DeskbellError):
    """Raised when there is no stand-in to ask; a sentence."""


class Inbox:
    """What a stand-in has received.

    Args:
        url: `DESKBELL_DESK_URL`.
    """

    def __init__(self, url: str) -> None:
        self._is_tencents = url in DESK_HOSTS or url in DESK_HOSTS.values()
        self._client = client(desk_host(url))

    def after(self, number: int) -> Sequence[Received]:
        """What came after the request of a number, the oldest first; 0 for all that it remembers.

        Raises:
            NoStandInError: there is no stand-in.
        """
        if self._is_tencents:  # it is not even asked
            raise NoStandInError("DESKBELL_DESK_URL is Tencent's, which tells nobody what it has received")
        try:
            reply = self._client.get("/received", params={"after": number})
            return [Received(**each) for each in read_json(reply.content)]
        except (*NO_ANSWER, ValueError, TypeError):
            raise NoStandInError(
                "the stand-in of Desk's REST interface does not answer: DESKBELL_DESK_URL must be what `deskbell dev` "
                "shows, or not be set"
            ) from None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
