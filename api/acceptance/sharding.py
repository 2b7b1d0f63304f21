"""Sharding (partitioned producer): an intake for each shard of Redis, and which of them an event belongs to."""

from collections.abc import Coroutine, Sequence
from typing import Any

from api.acceptance.accept import Kept
from api.acceptance.intake import Intake
from shared.keys import shard_of
from shared.wire.events import Event, Reply


class Intakes:
    """The intakes of all shards; one, where Redis has no shards."""

    def __init__(self, intakes: Sequence[Intake]) -> None:
        self._intakes = intakes

    def keep(self, event: Event, reply: Reply, identity: str) -> Coroutine[Any, Any, Kept]:
        """See `Intake.keep`."""
        count, at = len(self._intakes), 0
        if count > 1:
            at = shard_of(event.app_id, event.session_id, event.user_id, identity, count)
        return self._intakes[at].keep(event, reply, identity)
