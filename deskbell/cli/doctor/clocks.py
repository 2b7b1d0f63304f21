"""The clocks of the hosts, each compared with that of Redis."""

from collections.abc import Iterator

from deskbell.cli.doctor.findings import Checked
from deskbell.cli.doctor.queues import states
from deskbell.queues.findings import Finding, problem, said, warning
from shared.redis.api_hosts import read_hosts
from shared.redis.clock import ahead_of
from shared.sentences import Sentence, sentence

_NOTABLE_SECONDS = 1.0
_MOST_SECONDS = 30.0  # half of what a callback's RequestTime may differ from a host's clock
_DO = sentence("set it by NTP, and see that NTP runs")


def own_clock(checked: Checked) -> Iterator[Finding]:
    """How far the clock of this host is from that of Redis."""
    ahead = ahead_of(checked.connection)
    text = sentence("the clock of this host is {apart} that of Redis", apart=_apart(ahead))
    if _NOTABLE_SECONDS <= abs(ahead) <= _MOST_SECONDS:  # of more than that, `durability` tells
        yield warning(text, _DO)
    else:
        yield said(text)


def other_clocks(checked: Checked) -> Iterator[Finding]:
    """How far the clocks of the hosts of apis and workers are from that of Redis."""
    ahead: dict[str, float] = {}
    for record in {each.name: each for state in states(checked) for each in state.readers.records}.values():
        ahead[record.host] = max(ahead.get(record.host, 0.0), record.ahead, key=abs)
    for host in read_hosts(checked.connection):
        if not host.is_gone:
            ahead[host.host] = max(ahead.get(host.host, 0.0), host.ahead, key=abs)
    for name, seconds in sorted(ahead.items()):
        if abs(seconds) >= _NOTABLE_SECONDS:
            found = problem if abs(seconds) > _MOST_SECONDS else warning
            yield found(
                sentence(
                    "the clock of the host {host} is {apart} that of Redis: its api refuses callbacks from 60 s on, "
                    "and its workers begin retries early or late",
                    host=name,
                    apart=_apart(seconds),
                ),
                _DO,
            )


def _apart(ahead: float) -> Sentence:
    if ahead > 0:
        return sentence("{seconds:.1f} s ahead of", seconds=ahead)
    return sentence("{seconds:.1f} s behind", seconds=-ahead)
