"""Signals that end a command."""

import signal
from collections.abc import Iterator

import pytest

from deskbell.cli.processes.signals import Handler, end_cleanly, end_with_status, handle_signals
from shared.logs import get_log, lines_go_to


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    """What is set here is taken back."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("handler", "status"), [(end_cleanly, 0), (end_with_status, 128 + signal.SIGTERM)])
def test_a_signal_that_comes_while_a_line_is_written_ends_the_process(handler: Handler, status: int) -> None:
    """A line swallows the SystemExit that a field may raise, and must not swallow this one."""
    handle_signals(handler, signal.SIGTERM)

    with lines_go_to(lambda *_: signal.raise_signal(signal.SIGTERM)), pytest.raises(SystemExit) as ended:
        get_log().info("written")

    assert ended.value.code == status


def test_a_signal_that_was_ignored_from_the_start_stays_ignored() -> None:
    """As `nohup` asks for."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    handle_signals(end_cleanly, signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
