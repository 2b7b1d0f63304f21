"""Sessions: a cookie that says who has signed in, signed with the key of the settings, and valid for twelve hours.

What Redis keeps is which sessions were ended before, so that a copy of the cookie is worth nothing after its owner has
signed out; of a cluster each shard keeps it, so that the pages of one need no other. A user who is removed, or whose
password changes, is signed out by that; a role is read from the settings at each request.
"""

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress

from itsdangerous import BadData, URLSafeTimedSerializer
from redis import Redis
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from console.access.roles import Role, User
from console.access.throttle import Throttle
from shared.errors import ConfigError
from shared.keys import DESKBELL
from shared.settings.config import Settings
from shared.settings.environment import PREFIX

COOKIE = "deskbell_console"
ENDED_KEY = f"{DESKBELL}console:ended:"
"""Prefix of a key for each session that its owner has ended, until it would have ended by itself."""

NOTICE_COOKIE = "deskbell_notice"
_SECONDS = 12 * 3600
_NOTICE_SECONDS = 60
_LONGEST = 2000
_HALF_ENDED: set[str] = set()
"""Keys of sessions that have ended, but on some shard do not: it was away, and this process knows better."""


class Sessions:
    """Signs users in and out.

    Args:
        settings: users, and the key that signs.
        everywhere: where the sessions that were ended are: all of them in each place, of which the first that answers
            is asked.
        path: of the cookies.
        is_secure: whether they are sent over TLS alone.

    Attributes:
        are_needed: whether anybody signs in; without users, this machine alone may use the console, and may do all.
        throttle: of sign-ins.
    """

    def __init__(self, settings: Settings, everywhere: Sequence[Redis], path: str, *, is_secure: bool) -> None:
        self._everywhere = everywhere
        self._users = settings.console_users
        self._path = path or "/"
        self._is_secure = is_secure
        self.are_needed = bool(self._users)
        if self.are_needed and not settings.console_key:
            raise ConfigError(
                f"{PREFIX}CONSOLE_KEY: expected 32 characters or more, that sign sessions, since "
                f"{PREFIX}CONSOLE_USERS is set; got none"
            )
        key = settings.console_key.get_secret_value() if settings.console_key else secrets.token_urlsafe()
        self.throttle = Throttle(everywhere[0], key.encode())
        self._signer = self._serializer(key, "session")
        self._notices = self._serializer(key, "notice")

    def user(self, request: Request) -> User | None:
        """Who has signed in; None when nobody has."""
        session = self._load(self._signer, request.cookies.get(COOKIE, ""), _SECONDS)
        match session:
            case {"name": str(name), "hash": str(digest), "id": str()} if self._digest(name) == digest:
                return User(name, Role[self._users[name].role.upper()])
            case _:
                return None

    def has_ended(self, request: Request) -> bool:
        """Whether the session of a request was ended by signing out, here or at another console.

        Raises:
            RedisError: Redis does not answer.
        """
        key = self._ended_key(request)
        if not key or key in _HALF_ENDED:
            return bool(key)
        for redis in self._everywhere[:-1]:
            with suppress(RedisError):
                return bool(redis.exists(key))
        return bool(self._everywhere[-1].exists(key))

    def sign_in(self, response: Response, name: str) -> None:
        """Let a response sign a user in."""
        cookie = self._signer.dumps({"name": name, "hash": self._digest(name), "id": secrets.token_hex(16)})
        self._set(response, COOKIE, str(cookie), _SECONDS)

    def sign_out(self, request: Request, response: Response) -> None:
        """End the session of a request, and let a response forget it.

        Raises:
            RedisError: Redis does not answer: the session has not ended; or not on all shards, where this process alone
                knows it.
        """
        if key := self._ended_key(request):
            problems = []
            for redis in self._everywhere:
                try:
                    redis.set(key, "", ex=_SECONDS)
                except RedisError as error:
                    problems.append(error)
            if problems:
                _HALF_ENDED.update([key] if len(problems) < len(self._everywhere) else ())
                raise problems[0]
        self._set(response, COOKIE, "", 0)

    def _ended_key(self, request: Request) -> str:
        match self._load(self._signer, request.cookies.get(COOKIE, ""), _SECONDS):
            case {"id": str(session)}:
                return ENDED_KEY + session
            case _:
                return ""

    def notify(self, response: Response, key: str, values: dict[str, str | int]) -> None:
        """Let the next page say what was done: a text by its key."""
        self._set(response, NOTICE_COOKIE, str(self._notices.dumps([key, values])), _NOTICE_SECONDS)

    def notice(self, request: Request) -> tuple[str, dict[str, str | int]] | None:
        """What the last action said."""
        match self._load(self._notices, request.cookies.get(NOTICE_COOKIE, ""), _NOTICE_SECONDS):
            case [str(key), dict(values)]:
                return key, values
            case _:
                return None

    def forget_notice(self, response: Response) -> None:
        """The notice has been shown."""
        self._set(response, NOTICE_COOKIE, "", 0)

    def set_preference(self, response: Response, name: str, value: str) -> None:
        """Remember how somebody wants to see the console."""
        self._set(response, name, value, 365 * 24 * 3600)

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        response.set_cookie(
            name, value, seconds, path=self._path, secure=self._is_secure, httponly=True, samesite="strict"
        )

    def _digest(self, name: str) -> str | None:
        """Of the hash of a user's password: another password ends the sessions; None of nobody."""
        user = self._users.get(name)
        return hashlib.sha256(user.password.get_secret_value().encode()).hexdigest()[:16] if user else None

    @staticmethod
    def _load(serializer: URLSafeTimedSerializer, text: str, seconds: int) -> object:
        if not text or len(text) > _LONGEST:
            return None
        try:
            return serializer.loads(text, max_age=seconds)
        except BadData:
            return None

    @staticmethod
    def _serializer(key: str, what: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(key, f"deskbell console {what}", signer_kwargs={"digest_method": hashlib.sha256})
