"""The apps, how each is locked, and when each token last signed a callback."""

from datetime import UTC, datetime

from pydantic import SecretStr
from redis.exceptions import RedisError
from rich.table import Table

from deskbell.cli.doctor.findings import Checked
from shared.redis.queues import LOG_KEY, TOKENS_KEY
from shared.wire.protocol import fingerprint


def token_table(checked: Checked) -> Table:
    """Each app's locks, each of its tokens by fingerprint, and when that last signed a callback."""
    settings = checked.settings
    uses = _uses(checked)
    table = Table("app", "Sign", "path secret", "token", "last use", box=None, padding=(0, 2, 0, 0))
    secret = "yes" if settings.path_secret else "no"
    for app_id, tokens in settings.apps.items():
        sign = ("required" if settings.needs_sign(app_id) else "when present") if tokens else "not checked"
        shown: list[SecretStr | None] = [*tokens] or [None]
        for token in shown:
            table.add_row(app_id, sign, secret, *_token_cells(app_id, token, uses))
    return table


def _uses(checked: Checked) -> dict[str, datetime] | None:
    """When each token was last used; None when that is not known.

    It is not where the api could not write it: callbacks were accepted, and no use of any token was noted.
    """
    if checked.redis is None or not checked.notes_tokens:
        return None
    try:
        found: dict[bytes, bytes] = checked.redis.hgetall(TOKENS_KEY)  # type: ignore[assignment]  # for async too
        if not found and checked.redis.exists(LOG_KEY):
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
