"""The apps, how each is locked, and when each token last signed a callback."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr
from redis.exceptions import RedisError
from rich.table import Table

from deskbell.cli.doctor.findings import Checked
from deskbell.queues.findings import Finding, unknown, warning
from shared.records.segments import CALLS_KEY
from shared.redis.queues import TOKENS_KEY
from shared.sentences import sentence
from shared.wire.protocol import fingerprint

_UNUSED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class TokenUse:
    """An app's token, or its having none.

    Attributes:
        token: its fingerprint.
        last_use: when it last signed a callback; "never", "unknown", or "" without a token.
    """

    app: str
    sign: str
    path_secret: str
    token: str
    last_use: str


def token_uses(checked: Checked) -> list[TokenUse]:
    """Each app's locks, each of its tokens by fingerprint, and when that last signed a callback."""
    settings, uses = checked.settings, _uses(checked)
    secret = "yes" if settings.path_secret else "no"
    found = []
    for app_id, tokens in settings.apps.items():
        sign = ("required" if settings.needs_sign(app_id) else "when present") if tokens else "not checked"
        shown: list[SecretStr | None] = [*tokens] or [None]
        found += [TokenUse(app_id, sign, secret, *_token_cells(app_id, token, uses)) for token in shown]
    return found


def token_table(uses: list[TokenUse]) -> Table:
    """The same for a terminal."""
    table = Table("app", "Sign", "path secret", "token", "last use", box=None, padding=(0, 2, 0, 0))
    for each in uses:
        table.add_row(*map(str, asdict(each).values()))
    return table


def unused_tokens(checked: Checked) -> Iterator[Finding]:
    """Which tokens are not used any more, or not yet, while another of the same app is."""
    if not (checked.is_home and any(checked.settings.apps.values())):
        return
    uses = _uses(checked)
    if uses is None:
        yield unknown(
            sentence("when each token was last used is not known: no use of any was noted, or it cannot be read")
        )
        return
    now = datetime.now(UTC)
    for app_id, tokens in checked.settings.apps.items():
        marks = [fingerprint(each.get_secret_value()) for each in tokens]
        last = {mark: uses.get(f"{app_id}:{mark}") for mark in marks}
        if any(at and now - at < _UNUSED for at in last.values()):
            for mark, at in last.items():
                if at is None or now - at >= _UNUSED:
                    yield _unused(app_id, mark, at)


def _unused(app_id: str, mark: str, at: datetime | None) -> Finding:
    when = sentence("was last used at {at:%Y-%m-%d %H:%M} UTC", at=at) if at else sentence("was never used")
    return warning(
        sentence(
            "the token {token} of the app {app} {when}, and another of that app is used",
            token=mark,
            app=app_id,
            when=when,
        ),
        sentence("remove it from DESKBELL_APPS, unless Desk's console is about to have it"),
    )


def _uses(checked: Checked) -> dict[str, datetime] | None:
    """When each token was last used; None when that is not known.

    It is not where the api could not write it: callbacks were accepted, and no use of any token was noted.
    """
    if checked.redis is None or not checked.notes_tokens:
        return None
    try:
        found: Any = checked.redis.hgetall(TOKENS_KEY)
        if not found and checked.redis.exists(CALLS_KEY):
            return None
        return {key.decode(): datetime.fromtimestamp(int(value), UTC) for key, value in found.items()}
    except (RedisError, OSError, ValueError, OverflowError):
        return None


def _token_cells(app_id: str, token: SecretStr | None, uses: dict[str, datetime] | None) -> tuple[str, str]:
    if token is None:
        return "none", ""
    mark = fingerprint(token.get_secret_value())
    if uses is None:
        return mark, "unknown"
    last = uses.get(f"{app_id}:{mark}")
    return mark, last.isoformat(" ", "seconds") if last else "never"
