"""What handlers share, opened before the api answers and closed afterwards."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from redis import Redis

from deskbell import Callbacks
from tests import forked
from tests.conftest import SettingsFactory
from tests.desk import APP, TOKEN, serving
from tests.processes import ALONE, environment


def test_handlers_find_what_was_opened_on_their_event_loop(make_settings: SettingsFactory, redis: Redis) -> None:
    """Before the first callback; it is closed after the last answer."""
    assert redis.ping()
    callbacks, loops, open_now = Callbacks(), [], [False]

    @callbacks.lifespan
    async def shared() -> AsyncIterator[None]:
        async with asyncio.TaskGroup():
            loops.append(asyncio.get_running_loop())
            open_now[0] = True
            yield
            open_now[0] = False

    @callbacks.api_call("look")
    async def look() -> dict[str, bool]:
        return {"Same": asyncio.get_running_loop() is loops[0], "Open": open_now[0]}

    @callbacks.api_call("look_in_a_thread")
    def look_in_a_thread() -> dict[str, bool]:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loops[0]).result()
        return {"Open": open_now[0]}

    with serving(make_settings(), callbacks) as desk:
        looked = desk.call("look").json()["Body"]
        looked_in_a_thread = desk.call("look_in_a_thread").json()["Body"]

    assert looked == {"Same": "true", "Open": "true"}
    assert looked_in_a_thread == {"Open": "true"}
    assert (len(loops), open_now) == (1, [False])


def test_an_api_whose_lifespan_does_not_start_does_not_come_up(valkey_url: str, tmp_path: Path) -> None:
    """One sentence and status 1; it has never said that it is ready."""
    (tmp_path / "acme.py").write_text(
        "from deskbell import Callbacks\ncallbacks = Callbacks()\n"
        "@callbacks.lifespan\nasync def database():\n    raise OSError('no database')\n    yield\n"
    )
    settings = {
        "DESKBELL_CALLBACKS": "acme:callbacks",
        "DESKBELL_REDIS_URL": valkey_url,
        "DESKBELL_APPS": f'{{"{APP}": ["{TOKEN}"]}}',
    }

    ended = forked.run("api", "--port", "0", *ALONE, env=environment(**settings), cwd=tmp_path)

    assert ended.returncode == 1
    assert ended.stderr == "deskbell: the lifespan acme.database failed at acme.py:5 with OSError: no database\n"
    assert "startup complete" not in ended.stdout
