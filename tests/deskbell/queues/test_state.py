"""How queues stand."""

from deskbell.cli.doctor.findings import Checked
from deskbell.cli.doctor.keys import key_types
from deskbell.queues.now import read_now
from shared.redis.connections import client
from tests.conftest import SettingsFactory
from tests.deskbell.cli.doctor.looking import worker


def test_who_looks_at_workers_waits_no_longer_for_redis_afterwards(
    make_settings: SettingsFactory, valkey_url: str
) -> None:
    """RQ lets a client on which it makes a worker wait for minutes: a page would hang while Redis does."""
    settings = make_settings()
    with client(valkey_url, 60) as redis, client(valkey_url, 2) as looking, worker(redis, "crm"):
        now = read_now(looking, settings)
        list(key_types(Checked(settings, redis=looking)))

        assert [len(each.state.readers.living) for each in now.queues if each.state.name == "crm"] == [1]
        assert looking.connection_pool.connection_kwargs["socket_timeout"] == 2
