"""Records in tests, written as the api and the workers write them."""

from redis import Redis

from deskbell import ApiCall, Callbacks, Jobs, Retry
from shared.records.packing import Packing, Record
from shared.records.query import read_story
from shared.records.script import write_arguments, write_text
from shared.settings.config import Settings
from shared.wire.events import Event, Reply
from tests.conftest import ApiFactory, WorkplaceFactory
from tests.waiting import until

_PACKING = Packing(Settings())


def record_of(event: Event, reply: Reply | None = None) -> Record:
    """The record of an event; no variable of it is declared."""
    return _PACKING.callback(event, reply or Reply())


def put_on_record(redis: Redis, *records: Record, settings: Settings | None = None) -> None:
    """Write records, all in one script."""
    redis.register_script(write_text())(args=write_arguments(records, settings or Settings()))


def put_event_with_jobs(redis: Redis, start_api: ApiFactory, open_workplace: WorkplaceFactory) -> str:
    """Have an api answer a callback of user517, and a worker try its jobs: one is done, one is tried again; its id."""
    callbacks, jobs = Callbacks(), Jobs()

    @callbacks.api_call
    def order(OrderID: str) -> dict[str, str]:
        return {"Status": f"sent {OrderID}"}

    @jobs.on(ApiCall, queue="crm", name="crm.contact")
    def contact(_: ApiCall) -> None:
        raise Retry(after=600)

    @jobs.on(ApiCall, queue="crm")
    def note(event: ApiCall) -> None: ...

    desk = start_api(callbacks)
    headers = desk.call("order", OrderID="1002", SystemClientUserID="user517", SystemSessionID="s-1").headers
    event_id = str(headers["x-deskbell-event"])
    open_workplace(jobs).work("events", "crm")
    until(lambda: len(read_story(redis, event_id).attempts) == 2)
    return event_id
