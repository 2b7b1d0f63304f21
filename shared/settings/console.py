"""The settings of the operator's console: who may sign in, as what, and where browsers reach it."""

import re
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from shared.settings.urls import check_http_url

RoleName = Literal["viewer", "operator", "admin"]
HASH_FORM = r"scrypt\.(1[0-8])\.([1-9]|1[0-6])\.([1-9]|1[0-6])\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})"
"""log2 of the cost, block size, parallelization, then 16 bytes of salt and 32 of the hash, in base64url."""

_NAME_FORM = r"[A-Za-z0-9._@-]{1,64}"
_PATH_FORM = r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*"
_SHORTEST_KEY = 32


class ConsoleUser(BaseModel):
    """A user of the console, as the setting has it.

    Attributes:
        role: what the user may do.
        password: as `deskbell hash-password` prints it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: RoleName
    password: SecretStr

    @field_validator("password")
    @classmethod
    def _is_hashed(cls, password: SecretStr) -> SecretStr:
        if not re.fullmatch(HASH_FORM, password.get_secret_value()):
            raise ValueError("expected a password as `deskbell hash-password` prints it")
        return password


class ConsoleSettings(BaseSettings):
    """A part of the settings of `shared/settings/config.py`."""

    console_users: dict[str, ConsoleUser] = Field(
        default_factory=dict,
        description="JSON: who may sign in to the console, "
        '`{"ana": {"role": "operator", "password": "scrypt.…"}}`; the role is `viewer`, `operator` or `admin`, the '
        "password as `deskbell hash-password` prints it. Without users nobody but this machine reaches the console.",
    )
    console_key: SecretStr | None = Field(
        default=None,
        description="32 characters or more that sign the console's sessions; the same in all its processes.",
    )
    console_url: str = Field(
        default="",
        description="Where browsers reach the console through a proxy, `https://ops.example.com/deskbell`: the prefix "
        "of its addresses, and whether its cookies need TLS.",
    )

    @field_validator("console_users")
    @classmethod
    def _names_are_names(cls, users: dict[str, ConsoleUser]) -> dict[str, ConsoleUser]:
        for name in users:
            if not re.fullmatch(_NAME_FORM, name):
                raise ValueError("expected names of 1 to 64 letters, digits, `.`, `_`, `@` or `-`")
        return users

    @field_validator("console_key")
    @classmethod
    def _key_is_long(cls, key: SecretStr | None) -> SecretStr | None:
        if key and len(key.get_secret_value()) < _SHORTEST_KEY:
            raise ValueError(f"expected {_SHORTEST_KEY} characters or more")
        return key

    @field_validator("console_url")
    @classmethod
    def _url_is_one(cls, url: str) -> str:
        if url:
            check_http_url(url)
        parts = urlsplit(url.rstrip("/"))
        if not re.fullmatch(_PATH_FORM, parts.path):
            raise ValueError("expected a path of letters, digits, `-`, `_` and `.`, https://ops.example.com/deskbell")
        host = parts.netloc.lower().removesuffix({"http": ":80", "https": ":443"}.get(parts.scheme, ""))
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
