"""One project for all tests of `tests/containers/run`."""

from collections.abc import Iterator

import pytest

from tests.containers.project import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services, built, started and healthy; taken down in the end, whatever happens."""
    stack = Stack(tmp_path_factory.mktemp("tree"))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
