"""`deskbell dead` by what events are."""

from redis import Redis

from deskbell.testing import api_call
from shared.records.users import user_digest
from tests.conftest import WorkplaceFactory, open_workplace
from tests.deskbell.cli.dead.conftest import Dead
from tests.workers.failed_jobs import Unwilling, make_dead_letters, write_dead_letters
from workers.audit import AuditLog

__all__ = ["open_workplace"]  # a fixture


def test_dead_letters_of_a_user_are_counted_replayed_and_discarded(
    open_workplace: WorkplaceFactory, redis: Redis, dead: Dead
) -> None:
    """The audit log has the digest, which is understood, too."""
    events = [api_call("order_status", SystemClientUserID=user) for user in ("user517", "user518", "user518")]
    make_dead_letters(open_workplace(Unwilling(queue="crm").jobs), queue="crm", events=events)
    write_dead_letters(redis, 1)
    digest = user_digest("user518")

    planned = dead("replay", "--user", "user518", "--node", "order_status", "--dry-run")
    none = dead("list", "--user", "user519")
    empty = dead("list", "--node", "order_status", "--user", "")  # of a variable that is not set
    replayed = dead("replay", "--user", "user517", "--queue", "crm")
    discarded = dead("discard", "--user", digest, "--yes")

    assert "2 would be replayed" in planned.stdout
    assert empty.stdout.startswith("no dead letters with --node")
    assert none.stdout == f"no dead letters with --user '{user_digest('user519')}'\n"
    assert (replayed.stdout, discarded.stdout) == ("1 replayed\n", "2 discarded\n")
    assert redis.zcard("rq:failed:crm") == 1
    assert [each.selection for each in AuditLog(redis).latest(9)] == [
        f"--user '{digest}'",
        f"--queue 'crm' --user '{user_digest('user517')}'",
    ]
