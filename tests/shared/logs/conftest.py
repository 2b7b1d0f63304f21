"""Logs are configured in the tests' own process."""

import logging
import logging.config
from collections.abc import Iterator

import pytest

from shared.logs import configure_logs


@pytest.fixture(autouse=True)
def _restored_logs() -> Iterator[None]:
    """This process logs afterwards as it did before."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    configure_logs("console")
    root.handlers = handlers
    root.setLevel(level)
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.__class__ = logging.Logger
            logger.disabled = False
            logger.filters.clear()
