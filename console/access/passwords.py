"""Passwords, hashed with scrypt (RFC 7914): each hash costs some 32 MB and a quarter of a second."""

import base64
import hashlib
import hmac
import re
import secrets
import threading

from shared.settings.console import HASH_FORM

SHORTEST = 12
"""Characters of a password that is hashed."""

_LOG2_COST, _BLOCK, _PARALLEL = 15, 8, 3
_SALT_BYTES, _HASH_BYTES = 16, 32
AT_ONCE = threading.Semaphore(2)
"""For passwords that are being hashed."""

_ROOM = threading.Semaphore(8)
"""For those that are checked and those that wait for it: each holds a thread, of which the pages need some, too."""

WAIT_SECONDS = 2.0
"""Until there is a turn."""


class TooManyAtOnceError(Exception):
    """As many passwords are being checked as this process checks at once."""


def hash_password(password: str) -> str:
    """A password's hash with a new salt, as the setting takes it."""
    salt = secrets.token_bytes(_SALT_BYTES)
    hashed = _scrypt(password, salt, _LOG2_COST, _BLOCK, _PARALLEL)
    return f"scrypt.{_LOG2_COST}.{_BLOCK}.{_PARALLEL}.{_text(salt)}.{_text(hashed)}"


def is_password(password: str, hashed: str) -> bool:
    """Whether a password has this hash.

    Raises:
        TooManyAtOnceError: others are being checked; each takes memory and time.
    """
    form = re.fullmatch(HASH_FORM, hashed)
    assert form, "the setting has been checked"
    cost, block, parallel = (int(form[group]) for group in (1, 2, 3))
    if not _ROOM.acquire(blocking=False):
        raise TooManyAtOnceError
    try:
        if not AT_ONCE.acquire(timeout=WAIT_SECONDS):
            raise TooManyAtOnceError
        try:
            return hmac.compare_digest(_scrypt(password, _bytes(form[4]), cost, block, parallel), _bytes(form[5]))
        finally:
            AT_ONCE.release()
    finally:
        _ROOM.release()


def _scrypt(password: str, salt: bytes, log2_cost: int, block: int, parallel: int) -> bytes:
    memory = 128 * block * (2**log2_cost + parallel + 2)
    return hashlib.scrypt(
        password.encode(errors="replace"),
        salt=salt,
        n=2**log2_cost,
        r=block,
        p=parallel,
        maxmem=2 * memory,
        dklen=_HASH_BYTES,
    )


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
