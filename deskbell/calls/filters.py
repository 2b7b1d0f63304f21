"""Which callbacks are meant: what a person typed, checked, and as a search of the records."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta, tzinfo
from typing import Literal, get_args

from pydantic_core import to_json
from redis import Redis

from deskbell.calls.moments import FORM, read_moment
from shared.records.packing import LONGEST_ID, digest
from shared.records.query import MOST_LOOKED_AT, Call, Found, Wanted, find_calls
from shared.records.segments import Place
from shared.wire.events import Outcome

LONGEST = 500
"""Characters of what is typed."""

OUTCOMES: tuple[str, ...] = get_args(Outcome)

_AROUND = timedelta(minutes=2)
_DIGEST = re.compile(r"[0-9a-f]{16}")
_MOST_REPEATED = 40


class WrongFilterError(ValueError):
    """Raised when what was typed means nothing.

    Attributes:
        name: of the filter.
        kind: what is wrong: it is `long`, no `time`, no `outcome`; or `at` stands beside `since` or `until`.
    """

    def __init__(self, name: str, kind: Literal["long", "time", "outcome", "both"], got: str) -> None:
        expected = {
            "long": f"{LONGEST} characters or less",
            "time": FORM,
            "outcome": ", ".join(OUTCOMES),
            "both": "a moment alone, or `since` and `until`",
        }[kind]
        self.name, self.kind = name, kind
        self.got = f"{len(got):,}" if kind == "long" else got[:_MOST_REPEATED]
        super().__init__(
            f"{name}: expected {expected}, got {f'{self.got} characters' if kind == 'long' else repr(self.got)}"
        )


@dataclass(frozen=True, slots=True)
class Filters:
    """What callbacks must be; "" leaves it open.

    Attributes:
        user: an id, or the digest that records have in its place.
        at: a time, as `read_moment` reads it: two minutes around it.
    """

    command: str = ""
    node: str = ""
    app: str = ""
    outcome: str = ""
    user: str = ""
    session: str = ""
    at: str = ""
    since: str = ""
    until: str = ""

    def check(self) -> None:
        """Refuse what means nothing.

        Raises:
            WrongFilterError: see there.
        """
        for each in fields(self):
            value = getattr(self, each.name)
            if len(value) > LONGEST:
                raise WrongFilterError(each.name, "long", value)
        if self.at and (self.since or self.until):
            raise WrongFilterError("at", "both", self.at)
        if self.outcome and self.outcome not in OUTCOMES:
            raise WrongFilterError("outcome", "outcome", self.outcome)
        for name in ("at", "since", "until"):
            self._seconds(name, None)

    @property
    def is_open(self) -> bool:
        """Whether callbacks that are still to come may fit."""
        return not (self.at or self.until)

    def fits(self, call: Call) -> bool:
        """Whether a callback is one of these, but for its time."""
        users = (self.user[:LONGEST_ID], digest("user", self.user).hex()) if self.user else (call.user,)
        session = self.session[:LONGEST_ID] if self.session else call.session
        asked = (
            (self.command, call.command),
            (self.node, call.node),
            (self.app, call.app),
            (self.outcome, call.outcome),
        )
        is_one = all(wanted in ("", got) for wanted, got in asked) and call.session == session
        return is_one and (call.user in users or self._is_digest_of(call.user))

    def find(
        self,
        redis: Redis,
        limit: int,
        *,
        zone: tzinfo | None = None,
        most: int = MOST_LOOKED_AT,
        start: Place | None = None,
    ) -> Found:
        """The newest callbacks that fit; what was typed has been checked.

        Args:
            redis: where the records are.
            limit: how many at most.
            zone: of times that name none; None means this machine's.
            most: records that are looked at.
            start: the `rest` of an earlier search, to go on from there.
        """
        found = Found()
        for of in self._digests():
            wanted = Wanted(of, *self._period(zone), self.fits, limit, self._texts(), most, start)
            found = find_calls(redis, wanted)
            if found.calls:
                break
        return found

    def _digests(self) -> Iterator[bytes | None]:
        """What the index is asked for, one after the other; an id may look like a digest."""
        if self.user:
            yield digest("user", self.user)
            if _DIGEST.fullmatch(self.user):
                yield bytes.fromhex(self.user)
        else:
            yield digest("session", self.session) if self.session else None

    def _is_digest_of(self, user: str) -> bool:
        return bool(_DIGEST.fullmatch(self.user)) and digest("user", user).hex() == self.user

    def _texts(self) -> tuple[bytes, ...]:
        """What the text of a record holds, if it fits."""
        typed = (self.command, self.node, self.app, self.outcome)
        return tuple(to_json(each.encode(errors="replace").decode()) for each in typed if each)

    def _period(self, zone: tzinfo | None) -> tuple[float, float]:
        if self.at:
            moment = read_moment(self.at, zone)
            return (moment - _AROUND).timestamp(), (moment + timedelta(minutes=1) + _AROUND).timestamp()
        return self._seconds("since", zone) or 0.0, self._seconds("until", zone) or float("inf")

    def _seconds(self, name: str, zone: tzinfo | None) -> float | None:
        text = getattr(self, name)
        try:
            return read_moment(text, zone).timestamp() if text else None
        except ValueError:
            raise WrongFilterError(name, "time", text) from None
