"""The settings that a test gives, by name, beside those of the environment and `.env`."""

from collections.abc import Mapping
from typing import Any

from shared.declarations.nearest import advice
from shared.errors import ConfigError
from shared.settings.config import Settings, load_settings


def settings_given(given: Mapping[str, Any], **defaults: Any) -> Settings:
    """Settings: what is given, else the defaults, else the environment and `.env`.

    Raises:
        ConfigError: there is no such setting, or its value is wrong.
    """
    for name in given.keys() - Settings.model_fields.keys():
        hint = advice(name, Settings.model_fields, "; write them as Settings has them, such as callbacks and jobs")
        raise ConfigError(f"deskbell_settings: there is no setting {name!r}{hint}")
    return load_settings(**{**defaults, **given})
