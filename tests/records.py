"""Records in tests, written as the api and the workers write them."""

from redis import Redis

from shared.records.packing import Packing, Record
from shared.records.script import write_arguments, write_text
from shared.settings.config import Settings
from shared.wire.events import Event, Reply

_PACKING = Packing(Settings())


def record_of(event: Event, reply: Reply | None = None) -> Record:
    """The record of an event; no variable of it is declared."""
    return _PACKING.callback(event, reply or Reply())


def put_on_record(redis: Redis, *records: Record, settings: Settings | None = None) -> None:
    """Write records, all in one script."""
    redis.register_script(write_text())(args=write_arguments(records, settings or Settings()))
