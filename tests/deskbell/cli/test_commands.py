"""The commands, as a person types them: what they print and how they exit."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from redis import Redis

from shared.redis.queues import EVENTS, queue
from tests import forked
from tests.desk import APP, TOKEN
from tests.processes import ALONE, PATIENT, environment
from tests.serving import running_api

ROOT = Path(__file__).parents[3]

APPS = f'{{"{APP}": ["{TOKEN}"]}}'

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def deskbell(tmp_path: Path) -> Run:
    """Run `deskbell` with arguments, in an empty folder, with nothing but the settings given."""

    def run(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        given = {f"DESKBELL_{name}": value for name, value in settings.items()}
        return forked.run(*words, env=environment(**given), cwd=tmp_path)

    return run


@pytest.mark.parametrize(
    ("command", "settings", "sentence"),
    [
        ("api", {}, 'DESKBELL_APPS: expected an SdkAppid and its tokens, {"1400000001": ["token"]}, got none'),
        ("api", {"APPS": '{"1": []}'}, "DESKBELL_APPS: expected a token for 1, got none"),
        ("api", {"APPS": "{"}, "DESKBELL_APPS: expected JSON"),
        ("api", {"APPS": APPS, "BUDGET_MS": "soon"}, "DESKBELL_BUDGET_MS: expected"),
        ("api", {"APPS": APPS, "BUGDET_MS": "9"}, "did you mean DESKBELL_BUDGET_MS?"),
        (
            "api",
            {"APPS": APPS, "CALLBACKS": "nothing.here:callbacks"},
            "DESKBELL_CALLBACKS: there is no module nothing",
        ),
        (
            f"api {' '.join(ALONE)}",
            {"APPS": APPS, "CALLBACKS": "json:loads"},
            "DESKBELL_CALLBACKS: expected json:loads to be a Callbacks",
        ),
        ("worker", {}, "DESKBELL_JOBS: expected package.module:jobs, got nothing"),
        (f"worker {' '.join(ALONE)}", {"JOBS": "json"}, "DESKBELL_JOBS: expected package.module:jobs, got 'json'"),
        (f"worker {' '.join(ALONE)}", {"JOBS": "json:jobs"}, "DESKBELL_JOBS: json has no attribute jobs"),
    ],
)
def test_a_wrong_setting_ends_in_one_sentence(
    deskbell: Run, command: str, settings: dict[str, str], sentence: str
) -> None:
    """It names the setting, what was expected and what came; no traceback; exit status 2."""
    ended = deskbell(*command.split(), *(["--port", "0"] if command.startswith("api") else []), **settings)

    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert [json.loads(line)["event"] for line in ended.stdout.splitlines()] in ([], ["listening"])


EACH_COMMAND = """
import sys
from deskbell.cli.main import main

for command in ("api", "worker", "dashboard", "doctor", "dead list"):
    sys.argv = ["deskbell", *command.split()]
    try:
        main()
    except SystemExit as ended:
        print(command, ended.code, "rq" in sys.modules)
"""


@pytest.mark.parametrize(
    ("prefix", "url", "has_imported_rq", "problem"),
    [
        ("a b", "redis://127.0.0.1:1", False, "expected rq, or a name before it, such as shop:rq, got 'a b'"),
        (
            "shop:rq",
            "redis+cluster://127.0.0.1:1?shards=4",
            True,
            "expected none on a cluster, where keys begin with their shard's name",
        ),
    ],
)
def test_a_prefix_of_rqs_keys_ends_every_command_in_one_sentence(
    prefix: str, url: str, has_imported_rq: bool, problem: str
) -> None:
    """Also one that RQ itself would refuse in a traceback, as it is imported, and one that shards would not have."""
    words = [sys.executable, "-P", "-c", EACH_COMMAND]
    given = environment(RQ_KEY_PREFIX=prefix, DESKBELL_REDIS_URL=url)

    ended = subprocess.run(words, env=given, capture_output=True, text=True, timeout=60, check=False)

    commands = ("api", "worker", "dashboard", "doctor", "dead list")
    assert ended.stdout.splitlines() == [f"{command} 2 {has_imported_rq}" for command in commands]
    assert ended.stderr.splitlines() == [f"deskbell: RQ_KEY_PREFIX: {problem}"] * len(commands)


def test_the_version_is_that_of_the_package(deskbell: Run) -> None:
    """The commit stands beside it where the build wrote it down."""
    told = deskbell("--version")

    assert (told.returncode, told.stdout) == (0, f"deskbell {metadata.version('deskbell')}\n")


def test_a_port_that_is_taken_is_one_sentence_too(deskbell: Run) -> None:
    """With the address and the system's reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ended = deskbell("api", "--port", str(port), APPS=APPS)

    assert ended.returncode == 2
    assert ended.stderr == f"deskbell: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_a_queue_that_no_job_type_waits_on_is_refused(deskbell: Run, tmp_path: Path) -> None:
    """A typo on the command line would otherwise wait for ever."""
    tmp_path.joinpath("acme.py").write_text(
        "from deskbell import Event, Jobs\njobs = Jobs()\n@jobs.on(Event, queue='crm')\ndef note(event: Event): ...\n"
    )

    ended = deskbell("worker", "cmr", JOBS="acme:jobs")

    assert ended.returncode == 2
    assert ended.stderr == "deskbell: no job type waits on the queue 'cmr'; there are events, crm\n"


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_api_serves_and_ends_cleanly(
    valkey_url: str, redis: Redis, deskbell: Run, tmp_path: Path, processes: str, number: signal.Signals
) -> None:
    """`--port 0` takes a free port and says which; SIGTERM and Ctrl-C end it with status 0."""
    with running_api(valkey_url, tmp_path, "--processes", processes, **PATIENT) as api:
        sent = deskbell("send", "--url", api.desk.url, "--token", TOKEN)
        api.process.send_signal(number)
        status = api.process.wait(60)

    assert sent.returncode == 0, sent.stderr
    assert queue(EVENTS, redis).count == 1
    assert status == 0


HANGING = {
    "a thread": "def hangs() -> None: time.sleep(600)\n",
    "a task that heeds no cancellation": """async def hangs() -> None:
    while True:
        try:
            await asyncio.sleep(0.1)
        except BaseException:
            continue
""",
}


@pytest.mark.parametrize("what", HANGING)
def test_a_handler_that_hangs_does_not_keep_the_api_from_ending(
    what: str, valkey_url: str, redis: Redis, deskbell: Run, tmp_path: Path
) -> None:
    """Its call has been answered; SIGTERM leaves it behind."""
    tmp_path.joinpath("acme.py").write_text(
        "import asyncio, time\nfrom deskbell import Callbacks\ncallbacks = Callbacks()\n"
        f"@callbacks.api_call\n{HANGING[what]}"
    )
    settings = {
        "DESKBELL_CALLBACKS": "acme:callbacks",
        "DESKBELL_LONG_BUDGET": "1",
        "DESKBELL_BUDGET_MS": "3000",
        "DESKBELL_REDIS_TIMEOUT_MS": "1400",
    }

    with running_api(valkey_url, tmp_path, *ALONE, **settings) as api:
        sent = deskbell("send", "hangs", "--url", api.desk.url, "--token", TOKEN)
        api.process.terminate()
        assert api.process.wait(60) == 0

    assert '"ErrorCode":1008' in sent.stdout
    assert queue(EVENTS, redis).count == 1
