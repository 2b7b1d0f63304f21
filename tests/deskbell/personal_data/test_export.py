"""What an export says of data that it could not read; the whole command: `tests/deskbell/cli/personal_data`."""

import io
import json
import sys

import pytest
from pydantic import SecretStr
from redis import Redis

from deskbell.personal_data.export import write_export
from shared.records.users import User
from tests.conftest import SettingsFactory


def test_rows_whose_driver_is_not_installed_here_are_said_to_be_missing(
    redis: Redis, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the document is written."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    settings = make_settings(analytics_url=SecretStr("postgresql://li:secret@127.0.0.1:1/export"))
    file = io.StringIO()

    write_export(redis, settings, User("user517"), file)

    document = json.loads(file.getvalue())
    assert document["analytics_rows"] == []
    assert document["elsewhere"][0] == "The analytics rows could not be read: ModuleNotFoundError."
