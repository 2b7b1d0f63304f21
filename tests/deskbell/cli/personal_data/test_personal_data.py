"""`deskbell export` and `deskbell forget`, as the guide has them: on a server with an api and a worker that run."""

import json
import re
import shlex
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from deskbell.calls.following import ended_jobs
from shared.records.query import read_story
from shared.redis.queues import EVENTS
from tests import forked
from tests.desk import APP, TOKEN
from tests.processes import ALONE, PATIENT, environment
from tests.serving import running_api
from tests.waiting import until
from tests.workers.running import running_worker

GUIDE = Path(__file__).parents[4] / "docs" / "how-to" / "data-protection.md"
JOBS = """
from deskbell import ApiCall, Jobs, UserForgotten
from deskbell.jobs.analytics import jobs as analytics

jobs = Jobs()
jobs.include(analytics)

@jobs.on(ApiCall, queue="crm", attempts=1)
def record(event: ApiCall) -> None:
    raise OSError(event.variables["Phone"])

@jobs.on(UserForgotten, queue="crm")
def forget_contact(event: UserForgotten) -> None: ...
"""
PHONE = "13800138000"

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path, valkey_url: str) -> Command:
    """Run one of Deskbell's commands."""

    def run(*words: str, typed: str = "", url: str = valkey_url) -> subprocess.CompletedProcess[str]:
        settings = environment(DESKBELL_REDIS_URL=url, DESKBELL_APPS=json.dumps({APP: [TOKEN]}), USER="li")
        return forked.run(*words, env=settings, cwd=tmp_path, typed=typed)

    return run


def counts(text: str) -> dict[str, int]:
    """What a command has counted, by data set."""
    return {name: int(number) for number, name in re.findall(r"^ +(\d+) (.+)$", text, re.MULTILINE)}


def test_the_steps_of_the_guide(command: Command, redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """Export, dry run, a no, a yes, and the record of it; of a user who is on record, in jobs and in analytics."""
    export, *forgets, log = [
        shlex.split(line, comments=True)[1:]
        for line in re.findall(
            r"^deskbell .*", "".join(re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)), re.MULTILINE
        )
    ]
    with (
        running_api(valkey_url, tmp_path, *ALONE, **PATIENT) as api,
        running_worker(tmp_path, JOBS, valkey_url, EVENTS, "crm", "analytics"),
    ):
        answers = [api.desk.call("order", SystemClientUserID=user, Phone=PHONE) for user in ("user517", "user1")]
        ours, theirs = (answer.headers["x-deskbell-event"] for answer in answers)
        before = [ended_jobs(redis, event_id) for event_id in (ours, theirs)]
        until(lambda: len(read_story(redis, ours).attempts) == 2)  # a worker writes them every few seconds
        exported = command(*export)
        counted, refused, removed = command(*forgets[0]), command(*forgets[1], typed="n\n"), command(*forgets[2])
        logged = command(*log)
        again = command(*export[:3])
        after = ended_jobs(redis, theirs)

    document = json.loads((tmp_path / export[-1]).read_text())
    assert exported.returncode == 0, exported.stderr
    assert stat.S_IMODE((tmp_path / export[-1]).stat().st_mode) == 0o600
    assert [call["id"] for call in document["records"]] == [ours]
    assert {job["id"] for job in document["jobs"]} == {ours, f"{ours}-record", f"{ours}-analytics-event"}
    assert PHONE in next(job["failures"][0] for job in document["jobs"] if job["status"] == "failed")
    assert [each["event"] for each in document["answers"]] == [ours]
    assert [row["user"] for row in document["analytics_rows"]] == ["user517"]

    expected = {"finished jobs": 2, "dead letters": 1, "records": 3, "answers": 1}
    assert counts(counted.stdout) == expected | {"would be removed": 7}
    assert (refused.returncode, refused.stderr) == (1, "deskbell: aborted\n")
    assert removed.returncode == 0, removed.stderr
    assert counts(removed.stdout) == expected | {"removed": 7}
    assert "told      analytics.forget done on analytics\n" in removed.stdout
    assert "told      forget_contact done on crm\n" in removed.stdout
    assert "Redis rewrites its append-only file now" in removed.stdout
    assert re.search(r"li@\S+ +forget +--user '?[0-9a-f]{16}'? +7 +done", logged.stdout)
    printed = "".join(each.stdout + each.stderr for each in (counted, refused, removed, logged))
    assert "user517" not in printed
    assert PHONE not in printed
    empty = json.loads(again.stdout)
    assert {name for name, found in empty.items() if found == []} == {
        "records",
        "jobs",
        "answers",
        "late_values",
        "cache_values",
        "spooled_here",
        "analytics_rows",
    }
    assert before[1] == after


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["forget", "--user", ""], "--user: expected the id of a user, got an empty text"),
        (["forget", "--user", "u", "--app", "7\x1b"], f"--app: expected one of {APP}, got '7?'"),
        (["export", "--user", "u", "--to", "there"], "--to: there exists already; write another name"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    command: Command, tmp_path: Path, words: list[str], sentence: str
) -> None:
    """With what was expected and what came."""
    (tmp_path / "there").touch()

    done = command(*words)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"deskbell: {sentence}\n")
