"""`deskbell send` of many callbacks: counted, timed, and bounded."""

import json
import math
import signal
from pathlib import Path

from redis import Redis

from deskbell.cli.send.load import histogram
from shared.redis.queues import EVENTS, queue
from tests import forked
from tests.conftest import ApiFactory
from tests.desk import TOKEN
from tests.processes import environment
from tests.waiting import until

TEN = 10


def test_many_are_sent_at_a_rate_or_one_after_the_other(start_api: ApiFactory, redis: Redis, tmp_path: Path) -> None:
    """Each is a delivery of its own; answers are counted by status and code, and their milliseconds in a histogram."""
    to = ("--url", start_api().url, "--token", TOKEN)

    rated = forked.run("send", "--rate", "60/s", "--for", "1s", "--json", *to, env=environment(), cwd=tmp_path)
    shown = forked.run("send", "session_event", "--repeat", "3", *to, env=environment(), cwd=tmp_path)
    failed = forked.run("send", "nowhere", "--repeat", "2", *to, env=environment(), cwd=tmp_path)

    told = json.loads(rated.stdout)
    assert (rated.returncode, shown.returncode, failed.returncode) == (0, 0, 1)
    assert (told["sent"], told["answers"]) == (60, {"HTTP 200, ErrorCode 0": 60})
    assert told["ms"].keys() == {"p50", "p90", "p99", "max"}
    assert sum(each["count"] for each in told["histogram"]) == 60
    assert queue(EVENTS, redis).count == 65
    assert shown.stdout.splitlines()[1].split() == ["3", "HTTP", "200,", "ErrorCode", "0"]
    assert "ErrorCode 1006" in failed.stdout


def test_a_load_that_nobody_answers_ends_early(tmp_path: Path) -> None:
    """In one sentence."""
    ended = forked.run("send", "--repeat", "60000", "--url", "http://127.0.0.1:1", env=environment(), cwd=tmp_path)

    assert ended.returncode == 1
    assert ended.stderr.startswith("deskbell: no answer from http://127.0.0.1:1/callback: ")
    assert ended.stderr.endswith("; the last 20 had none\n")


def test_ctrl_c_ends_a_load_with_what_came_so_far(start_api: ApiFactory, redis: Redis, tmp_path: Path) -> None:
    """The summary is printed; the exit status is that of an interrupted command."""
    to = ("--url", start_api().url, "--token", TOKEN)
    with (tmp_path / "output").open("wb") as output:
        words = ("send", "--rate", "50/s", "--for", "10m", "--json", *to)
        process = forked.Forked(words, environment(), tmp_path, stdout=output)
    until(lambda: queue(EVENTS, redis).count >= TEN)  # by then the first has been answered

    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 130
    assert 0 < json.loads((tmp_path / "output").read_text())["sent"] < 30_000


def test_a_histogram_begins_and_ends_where_answers_do() -> None:
    """Its bounds are few, whatever came; the last has what Desk would not wait for."""
    assert histogram([]) == []
    assert histogram([1.0, 1.5, 9.0]) == [(1, 1), (2, 1), (5, 0), (10, 1)]
    assert histogram([2500.0]) == [(math.inf, 1)]
