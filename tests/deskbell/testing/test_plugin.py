"""The pytest plugin and its document: tests of an integrator's, who has nothing but the package."""

import re
import subprocess
import sys
from pathlib import Path

from tests.processes import environment

DOCUMENT = Path(__file__).parents[3] / "docs" / "how-to" / "testing.md"

CLEANLINESS = """
import asyncio

import pytest

import acme.jobs
from deskbell.desk import DeskClient, text


def test_the_stack_is_clean_and_its_api_misses_nothing(deskbell, deskbell_clock):
    assert deskbell.redis.keys("rq:job:*") == []
    answer = deskbell.call("order_status", OrderID="500")
    deskbell.work()
    assert deskbell.jobs_of(answer)["record_enquiry"].state == "retry"
    deskbell_clock.advance(4)
    deskbell.work()
    assert deskbell.jobs_of(answer)["record_enquiry"].attempts == 2
    assert deskbell.send("session_event", Event="SessionBegin").code == 0
    assert deskbell.redis.get("deskbell:forgotten") is None


@pytest.mark.parametrize("turn", [1, 2])
def test_a_desk_that_has_heard_nothing_is_there(deskbell, turn):
    settings = deskbell.settings
    (app, key), = settings.desk_keys.items()

    async def talk():
        async with DeskClient(app, key, url=settings.desk_url) as desk:
            await desk.send_msg("s", [text("hello")], random=1)

    asyncio.run(talk())
    assert [each["MsgBody"] for each in deskbell.rest.messages] == [[text("hello")]]


def test_what_is_put_into_a_cache_is_on_the_stacks_server(deskbell, deskbell_clock):
    assert numbers.put(api_call(), 1, 2)
    assert deskbell.redis.keys("deskbell:cache:numbers")
    deskbell_clock.advance(60)
    assert numbers.get(api_call(), 1) is None


@pytest.mark.parametrize("fixture", ["deskbell", "deskbell_queue", "deskbell_cache"])
@pytest.mark.parametrize("time", [1, 2])
def test_a_cache_is_empty_at_first(fixture, time, request):
    request.getfixturevalue(fixture)
    assert numbers.get(api_call(), 1) is None
    assert numbers.put(api_call(), 1, 2)
    assert numbers.get(api_call(), 1).value == 2


def test_what_cannot_be_asked_is_refused(deskbell):
    with pytest.raises(Exception, match="^work: no job type waits on the queue 'crn'; did you mean crm"):
        deskbell.work("crn")
    with pytest.raises(Exception, match="^jobs_of: no event was kept: HTTP 400, ErrorCode 1001$"):
        deskbell.jobs_of(deskbell.post(b"no packet"))


def test_a_worker_beside_a_loop_is_refused(deskbell):
    async def test():
        with pytest.raises(Exception, match="^work: an event loop runs here already; call work"):
            deskbell.work()

    asyncio.run(test())
"""

OTHER_SETTINGS = """
import pytest


@pytest.fixture(scope="session")
def deskbell_settings():
    return {"crm_url": "http://127.0.0.1:1"}


def test_a_folder_may_have_settings_of_its_own(deskbell):
    assert (deskbell.settings.crm_url, deskbell.settings.callbacks) == ("http://127.0.0.1:1", "")

"""


def run(folder: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a folder, as an integrator does."""
    command, env = [sys.executable, *words], environment() | variables
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_documents_tests_pass_for_an_integrator(tmp_path: Path) -> None:
    """Its blocks are a package and its tests; the stack starts once, and is clean for the next test."""
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "__init__.py").touch()
    blocks = re.findall(r"```python\n# (acme/\w+\.py)\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    for name, source in [*blocks, ("acme/test_then.py", CLEANLINESS), ("acme/test_to_end.py", OTHER_SETTINGS)]:
        (tmp_path / name).write_text(source)
    (tmp_path / ".env").write_text(
        'DESKBELL_APPS={"1400000009": ["a-real-one"]}\nDESKBELL_PATH_SECRET=secret-path-1234\n'
    )

    tested = run(tmp_path, "-m", "pytest", "-q", "-p", "no:schemathesis", "-p", "no:cacheprovider", "acme")

    count = sum(source.count("def test_") for _, source in blocks) + 6
    assert f"{count} passed" in tested.stdout, tested.stdout
    assert tested.stderr == ""


def test_the_plugin_imports_neither_fastapi_nor_redis_nor_deskbell(tmp_path: Path) -> None:
    """It is loaded in every run of pytest of that environment, whatever that tests."""
    script = (
        "import sys, pytest; pytest.main(['-q', '-p', 'deskbell', '--fixtures']); "
        "print('imported:', *{'fastapi', 'redis', 'rq', 'pydantic', 'deskbell', 'shared'} & set(sys.modules))"
    )

    tested = run(tmp_path, "-c", script, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    assert "deskbell_queue" in tested.stdout
    assert tested.stdout.splitlines()[-1] == "imported:"
