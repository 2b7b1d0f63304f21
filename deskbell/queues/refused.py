"""Which callbacks were refused lately, and why: nothing of them is kept, so that nothing else tells of them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from deskbell.queues.findings import Finding, problem, warning
from shared.redis.history import Kind, read_outcomes
from shared.sentences import Sentence, sentence

_REFUSED: Kind = "refused"
_RECENT_SECONDS = 600
_NOW_SECONDS = 120  # the minute before, until something is counted in this one
_NOTABLE = 0.05
"""The share of all in a minute from which a cause is told; the alert DeskbellCallbacksRefused has the same."""

_ALWAYS = ("cannot_keep", "overloaded")
_WHY = {
    "cannot_keep": (
        sentence("neither Redis nor the disk of the api kept the event"),
        sentence("bring Redis back, or make room on the disk of DESKBELL_SPOOL_DIR: either is enough"),
    ),
    "overloaded": (
        sentence("too many were in flight"),
        sentence("see which node is slow, or start more processes or hosts of the api"),
    ),
    "sign_wrong": (
        sentence("they were signed with another token than DESKBELL_APPS has"),
        sentence("write the token of Desk's console into DESKBELL_APPS, too, and send SIGHUP to `deskbell api`"),
    ),
    "sign_missing": (
        sentence("they are not signed"),
        sentence("give the callback a token in Desk's console, the one of DESKBELL_APPS"),
    ),
    "sign_stale": (
        sentence("their RequestTime is more than 60 s from the clock of the api"),
        sentence("set the clock of its host by NTP"),
    ),
    "unknown_app": (
        sentence("DESKBELL_APPS does not have their SdkAppid"),
        sentence("write it into DESKBELL_APPS, and send SIGHUP to `deskbell api`"),
    ),
    "wrong_path_secret": (
        sentence("their path lacks the secret"),
        sentence("correct the URL in Desk's console"),
    ),
}

_Counted = Mapping[tuple[Kind, str], Counter[str]]


def refused(connection: Redis) -> Iterator[Finding]:
    """Why callbacks were refused within the last ten minutes: a problem while they still are."""
    now: Any = connection.time()
    minutes = read_outcomes(connection, now[0] - _RECENT_SECONDS, now[0])
    latest = max((minute for minute, counted in minutes.items() if _all(counted)), default=0.0)
    for cause in dict.fromkeys(name for counted in minutes.values() for kind, name in counted if kind == "refused"):
        notable = [minute for minute, counted in minutes.items() if _is_notable(counted, cause)]
        if notable:
            is_now = notable[-1] == latest > now[0] - _NOW_SECONDS
            text, do = _said(cause, minutes.values(), notable[-1])
            yield problem(text, do) if is_now else warning(text)


def _is_notable(counted: _Counted, cause: str) -> bool:
    here = counted[_REFUSED, cause].total() if (_REFUSED, cause) in counted else 0
    return here > (0 if cause in _ALWAYS else _NOTABLE * _all(counted))


def _all(counted: _Counted) -> int:
    """How many callbacks there were, answered or refused."""
    return sum(outcomes.total() for (kind, _), outcomes in counted.items() if kind in ("callback", _REFUSED))


def _said(cause: str, minutes: Iterable[_Counted], last: float) -> tuple[Sentence, Sentence]:
    by_app = sum((counted.get((_REFUSED, cause), Counter()) for counted in minutes), Counter[str]())
    why, do = _WHY.get(cause, (cause, sentence("see refused in the log of the api")))
    text = sentence(
        "{count:,} callbacks{apps} were refused within the last ten minutes, the last at {at:%H:%M} UTC: {why}",
        "{count:,} callback{apps} was refused at {at:%H:%M} UTC: {why}",
        count=by_app.total(),
        apps=sentence(" of the app {apps}", apps=apps) if (apps := sorted(filter(None, by_app))) else "",
        at=datetime.fromtimestamp(last, UTC),
        why=why,
    )
    return text, do
