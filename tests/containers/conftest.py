"""What the tests of `tests/containers/run` share: one project, and what it has been through."""

from collections.abc import Iterator

import pytest

from tests.containers.faults import acknowledged_under_faults
from tests.containers.project import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services, built, started and healthy; taken down in the end, whatever happens."""
    stack = Stack(tmp_path_factory.mktemp("tree"))
    try:
        stack.up()
        # Its first rounds, one each 15 s, pass while other tests run.
        stack.compose("up", "--detach", "prometheus")
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="session")
def acknowledged(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Whose deliveries were acknowledged while the api and Redis were killed and Redis was cut off."""
    return acknowledged_under_faults(stack, tmp_path_factory.mktemp("load") / "acknowledged")
