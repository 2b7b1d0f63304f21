"""The pytest plugin: fixtures of the test kit, and flow files as tests. It has no effect where neither is used.

A module of its own beside the packages, since pytest imports it in every run: importing it from `deskbell` would import
that, and pydantic with it. `pytest -p no:deskbell` leaves it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deskbell.testing import Clock, MemoryQueue
    from deskbell.testing.stack import Stack


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Pytest's hook: `flow_*.yaml` is a file of tests."""
    if file_path.suffix != ".yaml" or not file_path.name.startswith("flow_"):
        return None
    from deskbell.flow.collector import FlowTests

    return FlowTests.from_parent(parent, path=file_path)


@pytest.fixture(scope="session")
def deskbell_settings() -> dict[str, Any]:
    """Settings of the tests by name, such as `{"jobs": "acme.jobs:jobs"}`: replace this fixture in your `conftest.py`.

    What it does not give is read from the environment and from `.env`.
    """
    return {}


@pytest.fixture(scope="session")
def deskbell_stack(deskbell_settings: dict[str, Any]) -> Iterator[Stack]:
    """The api and the embedded server, once for all tests; a test asks for `deskbell`, which is clean."""
    from deskbell.testing.stack import Stack

    with Stack(**deskbell_settings) as stack:
        yield stack


@pytest.fixture
def deskbell(deskbell_stack: Stack) -> Stack:
    """The whole stack, with an empty server: `deskbell.call("order_status", OrderID="1002")`, `deskbell.work()`."""
    deskbell_stack.clean()
    return deskbell_stack


@pytest.fixture
def deskbell_queue(deskbell_settings: dict[str, Any]) -> MemoryQueue:
    """Empty queues in memory for the job types that the settings name."""
    from deskbell.testing import MemoryQueue
    from shared.loading import load_jobs
    from shared.settings.config import load_settings

    settings = load_settings(**deskbell_settings)
    return MemoryQueue(load_jobs(settings), settings=settings)


@pytest.fixture
def deskbell_clock() -> Iterator[Clock]:
    """The time stands still, until `deskbell_clock.advance(seconds)`."""
    from deskbell.testing import Clock

    with Clock() as clock:
        yield clock
