"""The sentence for what is not installed."""

import importlib
from types import ModuleType

from shared.errors import ConfigError


def need(module: str, what: str) -> ModuleType:
    """A module that the extra `testing` installs.

    Raises:
        ConfigError: it is not installed; the sentence says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{what} needs {error.name}: pip install 'deskbell[testing]'") from None
