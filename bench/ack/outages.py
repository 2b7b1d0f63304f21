"""What an endpoint answers while Redis refuses connections, or takes them and never answers (a black hole)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan

from bench.ack.endpoints.endpoint import Endpoint
from bench.ack.load import paced, serving
from bench.pace import Answer, percentile
from bench.proxy import Mode, Proxy
from bench.server import persistence, server

OUTAGES: dict[str, str] = {"refuse": "Redis stopped", "swallow": "Redis black-holed"}
_MODES: tuple[Mode, ...] = ("refuse", "swallow")
RATE = 50
PATIENCE_SECONDS = 5.0
_NOTICE_SECONDS = 1.0
_OK = 200


@dataclass(frozen=True, slots=True)
class Outage:
    """What became of the requests sent during an outage, without those of its first second.

    Attributes:
        sent, acknowledged, refused: how many; the others were not answered in time.
        acknowledged_p99_ms, refused_p99_ms: within which 99 % of those were answered; nan when there were none.
    """

    sent: int
    acknowledged: int
    refused: int
    acknowledged_p99_ms: float
    refused_p99_ms: float

    @property
    def in_words(self) -> str:
        """For a cell of a table."""
        if self.acknowledged:
            return f"{self.acknowledged} of {self.sent}, p99 {self.acknowledged_p99_ms:.0f} ms"
        if self.refused:
            return f"none; {self.refused} of {self.sent} refused, p99 {self.refused_p99_ms:,.0f} ms"
        return f"none; no answer in {PATIENCE_SECONDS:.0f} s"


def measure_outages(endpoint: Endpoint, seconds: float) -> dict[str, Outage]:
    """Take Redis from a new process of the endpoint, in each of the two ways."""
    return {mode: _outage(endpoint, mode, seconds) for mode in _MODES}


def _outage(endpoint: Endpoint, mode: Mode, seconds: float) -> Outage:
    with _proxied() as proxy, serving(endpoint, proxy.url) as api:
        proxy.turn(mode)
        answers = paced(endpoint, api.port, RATE, _NOTICE_SECONDS + seconds, first=10**8, patience=PATIENCE_SECONDS)
    noticed = answers[0].sent + _NOTICE_SECONDS
    return _outage_of([answer for answer in answers if answer.sent >= noticed])


def _outage_of(answers: list[Answer]) -> Outage:
    taken = [answer.seconds for answer in answers if answer.status == _OK]
    refused = [answer.seconds for answer in answers if answer.status not in (0, _OK)]
    return Outage(
        sent=len(answers),
        acknowledged=len(taken),
        refused=len(refused),
        acknowledged_p99_ms=percentile(taken, 99) if taken else nan,
        refused_p99_ms=percentile(refused, 99) if refused else nan,
    )


@contextmanager
def _proxied() -> Iterator[Proxy]:
    with server(**persistence("always")) as (url, _), Proxy(url.removeprefix("unix://")) as proxy:
        yield proxy
