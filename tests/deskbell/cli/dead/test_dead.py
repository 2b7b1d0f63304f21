"""`deskbell dead`, as a person on call types it."""

import json
import os
import re
import signal
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from deskbell import Jobs
from deskbell.testing import api_call
from tests import forked
from tests.conftest import WorkplaceFactory, open_workplace
from tests.deskbell.cli.dead.conftest import Dead
from tests.forked import Forked
from tests.processes import environment
from tests.waiting import DEADLINE_SECONDS, until
from tests.workers.failed_jobs import Unwilling, make_dead_letters, write_dead_letters
from workers.audit import AuditLog

__all__ = ["open_workplace"]  # a fixture

CAUSE = "OSError"


def queue_length(redis: Redis) -> int:
    """How many jobs wait."""
    return int(redis.llen("rq:queue:crm"))


def test_list_counts_by_job_type_and_cause_and_shows_no_values(redis: Redis, dead: Dead) -> None:
    """The largest group first, one line each, with an id to look at."""
    ids = write_dead_letters(redis, 30)

    listed = dead("list")

    head, first, second = listed.stdout.splitlines()
    assert listed.returncode == 0
    assert head.split() == ["dead", "job", "queue", "cause", "first", "last", "awaited", "by", "the", "latest"]
    assert re.fullmatch(rf" +20 +crm.contact +crm +{CAUSE} +\d+ s +\d+ s +{ids[29]} *", first)
    assert re.fullmatch(rf" +10 +crm.contact +crm +Discard at acme/jobs.py:9 in record +{ids[27]} *", second)
    assert "user517" not in listed.stdout + listed.stderr


def test_list_is_filtered_and_is_json_on_request(redis: Redis, dead: Dead) -> None:
    """For other programs: dates are ISO texts, an empty list is one."""
    ids = write_dead_letters(redis, 30)

    listed = dead("list", "--job", "crm.contact", "--cause", "OSError", "--since", "1h", "--json")
    nothing = dead("list", "--since", (datetime.now(UTC) + timedelta(hours=1)).isoformat(), "--json")

    (group,) = json.loads(listed.stdout)
    assert datetime.fromisoformat(group.pop("first")) <= datetime.fromisoformat(group.pop("last"))
    assert group == {
        "job": "crm.contact",
        "queue": "crm",
        "cause": CAUSE,
        "count": 20,
        "latest": ids[29],
        "awaited_by": 0,
    }
    assert json.loads(nothing.stdout) == []
    assert dead("list", "--job", "nobody").stdout == "no dead letters with --job 'nobody'\n"


def test_list_names_each_dead_letter_on_request(redis: Redis, dead: Dead) -> None:
    """One id a line, in the order of the events, for other commands; in JSON beside its group."""
    ids = write_dead_letters(redis, 30)
    which = ("--cause", "Discard")

    listed, as_json = dead("list", *which, "--ids"), dead("list", *which, "--ids", "--json")

    assert listed.stdout.splitlines() == ids[::3]
    assert [group["ids"] for group in json.loads(as_json.stdout)] == [ids[::3]]


def test_list_ends_without_a_word_when_its_reader_has_ended(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """As with `| head -1`: it is no fault of Redis."""
    write_dead_letters(redis, 3)
    reader, writer = os.pipe()
    os.close(reader)

    complained, settings = tmp_path / "complained", environment(DESKBELL_REDIS_URL=valkey_url)
    with os.fdopen(writer, "wb") as closed, complained.open("wb") as log:
        status = Forked(("dead", "list", "--ids"), settings, tmp_path, stdout=closed, stderr=log).wait(DEADLINE_SECONDS)

    assert (status, complained.read_bytes()) == (1, b"")


def test_show_tells_the_attempts_that_were_made(redis: Redis, dead: Dead) -> None:
    """A job that was discarded at its first has not had eight; one whose worker died tells the attempt it was at."""
    discarded, abandoned = write_dead_letters(redis, 2)
    redis.hset(f"rq:job:{discarded}", "meta", json.dumps({"attempt": 0, "attempts": 8, "made": 1}))
    redis.hset(f"rq:job:{abandoned}", "meta", json.dumps({"attempt": 3}))

    assert re.search(r"^attempts +1 of 8$", dead("show", discarded).stdout, re.MULTILINE)
    assert re.search(r"^attempts +3$", dead("show", abandoned).stdout, re.MULTILINE)


def test_show_tells_why_a_job_failed_and_values_only_on_request(
    redis: Redis, dead: Dead, open_workplace: WorkplaceFactory
) -> None:
    """Cause, stack frames, attempts and event; with --values the packet and the text, and what is personal apart."""
    assert redis.ping()
    (event,) = make_dead_letters(open_workplace(Unwilling(attempts=2).jobs))

    shown = dead("show", f"{event.id}-acme-record")
    with_values = dead("show", f"{event.id}-acme-record", "--values")
    with_all = dead("show", f"{event.id}-acme-record", "--personal")

    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^cause +OSError at workers/failed_jobs.py:\d+ in record$", shown.stdout, re.MULTILINE)
    assert re.search(r"^attempts +2 of 2$", shown.stdout, re.MULTILINE)
    assert re.search(r"^node +order_status$", shown.stdout, re.MULTILINE)
    assert re.search(r"^  > .*/failed_jobs.py:\d+ in record$", shown.stdout, re.MULTILINE)
    assert shown.stdout.endswith(f"To put it back: deskbell dead replay {event.id}-acme-record\n")
    assert "user517" not in shown.stdout
    assert "user517" not in with_values.stdout
    assert '"SystemClientUserID": "(7 characters)"' in with_values.stdout
    assert "OSError: (personal)" in with_values.stdout
    assert '"SystemClientUserID": "user517"' in with_all.stdout
    assert "OSError: user517" in with_all.stdout


def packed(event: object) -> bytes:
    """A job's data."""
    return zlib.compress(json.dumps(["workers.perform.perform", None, ["crm.contact", event], {}]).encode())


def test_show_prints_a_command_and_a_node_that_have_their_forms(redis: Redis, dead: Dead) -> None:
    """What a damaged event has there may be anything; --values prints it."""
    (job_id,) = write_dead_letters(redis, 1)
    event = {"command": {"planted": 1}, "node": "planted 4711 4711", "received_at": 1}
    redis.hset(f"rq:job:{job_id}", "data", packed(event))

    shown, with_values = dead("show", job_id), dead("show", job_id, "--values")

    assert shown.returncode == 0
    assert "planted" not in shown.stdout
    assert "planted 4711 4711" in with_values.stdout


RUBBISH: dict[str, Callable[[Redis, str], object]] = {
    "a date that overflows": lambda redis, id_: redis.hset(f"rq:job:{id_}", "ended_at", "9999-12-31T23:59:59-23:00"),
    "a receipt far away": lambda redis, id_: redis.hset(f"rq:job:{id_}", "data", packed({"received_at": 10**30})),
    "data nested deep": lambda redis, id_: redis.hset(f"rq:job:{id_}", "data", zlib.compress(b"[" * 100_000)),
    "meta nested deep": lambda redis, id_: redis.hset(f"rq:job:{id_}", "meta", "[" * 100_000),
    "countless attempts": lambda redis, id_: redis.hset(f"rq:job:{id_}", "meta", f'{{"attempts": {"9" * 5000}}}'),
    "a result far away": lambda redis, id_: (
        redis.delete(f"rq:results:{id_}"),
        redis.xadd(f"rq:results:{id_}", {"type": 2}, id="18446744073709551614-1"),
    ),
}


def test_records_that_cannot_be_read_hide_no_others(redis: Redis, dead: Dead) -> None:
    """Each command does its work, on these records too as far as they can be read."""
    ids = write_dead_letters(redis, len(RUBBISH) + 1)
    for damage, job_id in zip(RUBBISH.values(), ids, strict=False):
        damage(redis, job_id)

    listed, shown, replayed = dead("list"), [dead("show", job_id) for job_id in ids], dead("replay", *ids)

    assert {ended.returncode for ended in (listed, *shown, replayed)} == {0}
    assert "crm.contact" in listed.stdout
    assert replayed.stdout == f"{len(ids)} replayed\n"


def test_replay_by_id_is_done_once(redis: Redis, dead: Dead) -> None:
    """The second time there is no such dead letter, which the exit status says."""
    first, second, _ = write_dead_letters(redis, 3)

    replayed = dead("replay", second, first)
    again = dead("replay", first)

    assert (replayed.returncode, replayed.stdout) == (0, "2 replayed\n")
    assert (again.returncode, again.stdout) == (1, "0 replayed\n")
    assert again.stderr == "deskbell: 1 of the ids are no dead letter's\n"
    assert [job_id.decode() for job_id in redis.lrange("rq:queue:crm", 0, -1)] == [first, second]  # type: ignore[union-attr]


def test_replay_by_what_they_are_shows_first_on_request(redis: Redis, dead: Dead) -> None:
    """--dry-run changes nothing and records nothing."""
    write_dead_letters(redis, 30)
    which = ("--job", "crm.contact", "--cause", "OSError")

    preview = dead("replay", *which, "--dry-run")
    untouched = queue_length(redis), AuditLog(redis).latest(1)
    replayed = dead("replay", *which, "--by", "wang")

    assert "20 chosen" in preview.stdout
    assert "20 would be replayed" in preview.stdout
    assert untouched == (0, [])
    assert replayed.stdout == "20 replayed\n"
    assert queue_length(redis) == 20
    (run,) = AuditLog(redis).latest(10)
    assert (run.by, run.action, run.selection, run.done) == (
        "wang",
        "replay",
        "--job 'crm.contact' --cause 'OSError'",
        20,
    )


def test_a_replay_that_is_interrupted_can_be_run_again(
    redis: Redis, valkey_url: str, tmp_path: Path, dead: Dead
) -> None:
    """By Ctrl-C, which says so: each dead letter is enqueued once, and the log tells of both runs."""
    ids = write_dead_letters(redis, 60)
    words, settings = ("dead", "replay", "--all", "--rate", "20/s"), environment(DESKBELL_REDIS_URL=valkey_url)
    said = tmp_path / "said"

    with said.open("wb") as log, Forked(words, settings, tmp_path, stderr=log) as process:
        until(lambda: queue_length(redis) >= 6)
        process.send_signal(signal.SIGINT)
    half = queue_length(redis)
    again = dead("replay", "--all")

    assert 6 <= half < 60
    assert again.stdout == f"{60 - half} replayed\n"
    assert [job_id.decode() for job_id in redis.lrange("rq:queue:crm", 0, -1)] == ids  # type: ignore[union-attr]
    second, first = AuditLog(redis).latest(2)
    assert (first.done, second.done) == (half, 60 - half)
    assert process.returncode == 130
    assert said.read_text() == "deskbell: interrupted; what was replayed is in the log, run it again for the others\n"
    assert first.end == "interrupted"


def test_discard_asks_first(redis: Redis, dead: Dead) -> None:
    """With what there is; a no, or nobody to ask, deletes nothing."""
    write_dead_letters(redis, 3)

    refused = dead("discard", "--cause", "OSError", typed="n\n")
    nobody = dead("discard", "--cause", "OSError")
    left = redis.zcard("rq:failed:crm")
    agreed = dead("discard", "--cause", "OSError", typed="y\n")
    unasked = dead("discard", "--all", "--yes")

    assert "Delete 2 for good" in refused.stdout
    assert (refused.returncode, nobody.returncode, left) == (1, 1, 3)
    assert "2 discarded" in agreed.stdout
    assert unasked.stdout == "1 discarded\n"
    assert not redis.keys("rq:job:*")


def test_discard_deletes_no_more_than_it_showed(redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """Jobs that fail while the question stands, for the first time or again, keep their events: nobody saw them."""
    first, second = write_dead_letters(redis, 2, queue="acme", name="acme-book")
    words, settings = ("dead", "discard", "--job", "acme.book"), environment(DESKBELL_REDIS_URL=valkey_url)
    reader, writer = os.pipe()
    said, complained = tmp_path / "said", tmp_path / "complained"

    with said.open("wb") as out, complained.open("wb") as err, os.fdopen(reader, "rb") as stdin:
        process = Forked(words, settings, tmp_path, stdin, out, err)
        until(lambda: "Delete 2 for good" in said.read_text())
        write_dead_letters(redis, 8, queue="acme", name="acme-book")
        redis.hset(f"rq:job:{second}", mapping={"meta": '{"attempt": 8}'})
        redis.xadd(f"rq:results:{second}", {"type": 2})
        with os.fdopen(writer, "wb") as typed:
            typed.write(b"y\n")
        process.wait(DEADLINE_SECONDS)

    assert said.read_text().endswith("1 discarded\n")
    assert complained.read_text() == "1 not: somebody else was faster\n"
    assert redis.zcard("rq:failed:acme") == 9
    assert not redis.exists(f"rq:job:{first}")
    assert redis.exists(f"rq:job:{second}")


def test_replay_asks_before_it_puts_many_back_at_once(redis: Redis, dead: Dead) -> None:
    """More than a hundred, which may be too much for what they call; a rate, or --yes, is an answer."""
    write_dead_letters(redis, 101)

    refused = dead("replay", "--all", typed="n\n")
    nobody = dead("replay", "--all")
    untouched = queue_length(redis), AuditLog(redis).latest(1)
    agreed = dead("replay", "--all", typed="y\n")
    write_dead_letters(redis, 101)
    unasked = dead("replay", "--all", "--yes")
    write_dead_letters(redis, 101)
    at_a_rate = dead("replay", "--all", "--rate", "10000/s")

    assert "Put all 101 back at once? (--rate 20/s does it slowly)" in refused.stdout
    assert (refused.returncode, nobody.returncode, untouched) == (1, 1, (0, []))
    assert agreed.stdout.endswith("101 replayed\n")
    assert (unasked.stdout, at_a_rate.stdout) == ("101 replayed\n", "101 replayed\n")


def test_the_audit_log_tells_who_did_what(redis: Redis, dead: Dead, tmp_path: Path, valkey_url: str) -> None:
    """The last first, by default with the system's name of the person."""

    def audit(*words: str) -> str:
        return forked.run("audit", *words, env=environment(DESKBELL_REDIS_URL=valkey_url), cwd=tmp_path).stdout

    write_dead_letters(redis, 3)
    empty = audit()
    dead("replay", "--cause", "OSError", "--rate", "100/s")
    dead("discard", "--all", "--yes", "--by", "wang")

    told = audit()
    as_json = json.loads(audit("--count", "1", "--json"))

    assert empty == "nothing was done in the last 90 days\n"
    _, second, first = told.splitlines()
    assert re.fullmatch(r" *\S+ \S+ UTC +li@\S+ +replay +--cause 'OSError' +2 +done *", first)
    assert re.fullmatch(r" *\S+ \S+ UTC +wang +discard +--all +1 +done *", second)
    assert [(run["by"], run["done"]) for run in as_json] == [("wang", 1)]


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (
            ["replay"],
            2,
            "write either ids, or some of --job, --cause, --since, --queue, --node, --session and --user, or --all",
        ),
        (["replay", "a", "--job", "b"], 2, "write either ids"),
        (
            ["replay", "--all", "--rate", "fast"],
            2,
            "--rate: expected a number in a s, min or h, such as 20/s, got 'fast'",
        ),
        (
            ["list", "--since", "yesterday"],
            2,
            "--since: expected a time such as 90s, 15m, 2h or 7d, 14:02, or an ISO date",
        ),
        (["show", "nobody"], 1, "nobody: no dead letter has this id"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(
    redis: Redis, dead: Dead, words: list[str], status: int, sentence: str
) -> None:
    """Nothing is guessed: `replay` alone might have meant all."""
    write_dead_letters(redis, 1)

    ended = dead(*words)

    assert ended.returncode == status
    assert ended.stderr.startswith(f"deskbell: {sentence}")
    assert len(ended.stderr.splitlines()) == 1
    assert redis.zcard("rq:failed:crm") == 1


def test_replay_as_another_job_type_reads_the_integrators_declarations(
    redis: Redis, dead: Dead, tmp_path: Path, open_workplace: WorkplaceFactory
) -> None:
    """A name that is not declared is answered with the nearest; without declarations nothing is touched.

    A dry run and the question count also the jobs that are left because no worker declares their type.
    """
    (tmp_path / "acme_jobs.py").write_text(
        "from deskbell import Event, Jobs\njobs = Jobs()\n"
        "@jobs.on(Event, queue='crm', name='acme.renamed')\ndef renamed(event: Event) -> None: ..."
    )
    older = open_workplace(Unwilling().jobs)
    (event,) = make_dead_letters(older)
    left = older.put_jobs(api_call())
    open_workplace(Jobs()).work()
    words = ("replay", "--job", "acme.record", "--as")
    given = {"DESKBELL_JOBS": "acme_jobs:jobs", "DESKBELL_APP_DIR": "."}

    undeclared = dead(*words, "acme.renamed")
    misspelt = dead(*words, "acme.rename", **given)
    looked = dead(*words, "acme.renamed", "--dry-run", **given)
    before = redis.zcard("rq:failed:default")
    replayed = dead(*words, "acme.renamed", **given)
    redis.sadd("deskbell:left", "default:acme-record")
    for key in ("deskbell:left:default:acme-record", "rq:scheduled:default"):
        redis.zadd(key, {f"job-{number}": number for number in range(101)})
    asked = dead(*words, "acme.renamed", typed="n\n", **given)

    assert undeclared.returncode == misspelt.returncode == 2
    assert undeclared.stderr.startswith("deskbell: --as: the job type must be declared here: DESKBELL_JOBS: expected")
    assert "expected a job type that DESKBELL_JOBS declares, got 'acme.rename'" in misspelt.stderr
    assert "acme.renamed" in misspelt.stderr
    assert (before, replayed.stdout, replayed.returncode) == (1, "2 replayed\n", 0)
    assert looked.stdout.endswith("1 chosen\n1 jobs that are left are chosen, too\n2 would be replayed\n")
    assert (asked.returncode, "Put all 101 back at once?" in asked.stdout) == (1, True)
    assert redis.lrange("rq:queue:crm", 0, -1) == [f"{each.id}-acme-renamed".encode() for each in (event, left)]
