"""An api in a thread of the test."""

from collections.abc import AsyncIterator

import httpx
import pytest

from deskbell import Callbacks
from deskbell.testing.serving import serving
from shared.errors import ConfigError, LifespanError
from tests.conftest import SettingsFactory


def test_it_answers_within_the_lifespans_of_its_handlers(make_settings: SettingsFactory) -> None:
    """They are open when the URL is given, and closed when the block is left."""
    callbacks, opened = Callbacks(), list[bool]()

    @callbacks.lifespan
    async def pool() -> AsyncIterator[None]:
        opened.append(True)
        yield
        opened.append(False)

    with serving(make_settings(), callbacks) as url:
        assert opened == [True]
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == httpx.codes.OK
    assert opened == [True, False]


def test_what_keeps_it_from_starting_is_raised_where_the_test_waits(make_settings: SettingsFactory) -> None:
    """A lifespan, or settings that would let anybody call."""
    callbacks = Callbacks()

    @callbacks.lifespan
    async def missing() -> AsyncIterator[None]:
        raise OSError("planted")
        yield

    with pytest.raises(LifespanError, match="OSError: planted"), serving(make_settings(), callbacks):
        pass
    with pytest.raises(ConfigError, match="DESKBELL_APPS"), serving(make_settings(apps={}), Callbacks()):
        pass
