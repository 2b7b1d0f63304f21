"""Start-up that settings end."""

import pytest

from shared.errors import ConfigError
from shared.settings.config import load_settings
from shared.settings.environment import PREFIX

PLANTED = "planted-secret-0123456789"


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """The sentence with which start-up ends in an environment."""
    for name, value in environment.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert caught.value.__suppress_context__ or not caught.value.__context__  # pydantic's own error quotes the value
    assert "\n" not in str(caught.value)
    return str(caught.value)
