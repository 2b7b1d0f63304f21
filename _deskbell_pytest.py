"""The pytest plugin: fixtures of the test kit, and flow files as tests. It has no effect where neither is used.

A module of its own beside the packages, since pytest imports it in every run: importing it from `deskbell` would import
that, and pydantic with it. `pytest -p no:deskbell` leaves it out.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from redis import Redis

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
def _deskbell_stacks() -> Iterator[Callable[[dict[str, Any]], Stack]]:
    """The stacks of this run: one for each set of settings, which is one unless folders of tests have others."""
    with ExitStack() as exits:
        stacks: list[tuple[dict[str, Any], Stack]] = []

        def stack_of(settings: dict[str, Any]) -> Stack:
            from deskbell.testing.stack import Stack

            for given, stack in stacks:
                if given == settings:
                    return stack
            stacks.append((settings, exits.enter_context(Stack(**settings))))
            return stacks[-1][1]

        yield stack_of


@pytest.fixture
def deskbell(_deskbell_stacks: Callable[[dict[str, Any]], Stack], deskbell_settings: dict[str, Any]) -> Iterator[Stack]:
    """The whole stack, with an empty server: `deskbell.call("order_status", OrderID="1002")`, `deskbell.work()`."""
    from deskbell.cache.store import caches_on

    stack = _deskbell_stacks(deskbell_settings)
    stack.clean()
    with caches_on(stack.redis):
        yield stack


@pytest.fixture
def deskbell_cache() -> Iterator[Redis]:
    """Caches in memory, which are empty; gives the client of the fake server that they are on."""
    from deskbell.cache.store import caches_on
    from deskbell.testing.memory import fake_redis

    with fake_redis("a cache in memory") as redis, caches_on(redis):
        yield redis


@pytest.fixture
def deskbell_queue(deskbell_settings: dict[str, Any]) -> Iterator[MemoryQueue]:
    """Empty queues in memory for the job types that the settings name; their caches are in memory, too."""
    from deskbell.cache.store import caches_on
    from deskbell.testing import MemoryQueue
    from deskbell.testing.given import settings_given
    from shared.loading import load_jobs

    settings = settings_given(deskbell_settings)
    queue = MemoryQueue(load_jobs(settings), settings=settings)
    with caches_on(queue.redis):
        yield queue


@pytest.fixture
def deskbell_clock() -> Iterator[Clock]:
    """The time stands still, until `deskbell_clock.advance(seconds)`."""
    from deskbell.testing import Clock

    with Clock() as clock:
        yield clock
