"""Redis is away: settings for one that is not there, and a server that is not started."""

from collections.abc import Iterator

import pytest

from deskbell import Settings
from tests.api.acceptance.spool.away import NOWHERE
from tests.conftest import SettingsFactory
from tests.redis_outages import Server, a_server


@pytest.fixture
def settings(make_settings: SettingsFactory) -> Settings:
    """Settings for a Redis that is not there."""
    return make_settings(redis_url=NOWHERE)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of this test alone, not started."""
    with a_server() as server:
        yield server
