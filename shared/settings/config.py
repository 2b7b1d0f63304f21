"""The settings: environment variables that begin with DESKBELL_, read once when a process starts."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PlainValidator,
    PositiveInt,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from shared.declarations.policies import Breaker, Concurrency, Rate, breaker_of_setting, limit_of_setting
from shared.errors import ConfigError
from shared.settings.console import ConsoleSettings
from shared.settings.env_file import EnvFile, read_env_file
from shared.settings.environment import PREFIX, check_environment
from shared.settings.redis_url import RedisUrl
from shared.settings.retention import RetentionSettings
from shared.settings.urls import (
    check_database_url,
    check_edges,
    check_header_text,
    check_http_url,
    check_org_url,
    check_path_secret,
    check_property_name,
    desk_host,
)

_TOKEN_FORM = r"[^\ud800-\udfff]{1,128}"  # noqa: S105 - PROTOCOL §2; half a surrogate pair cannot be hashed
_JSON_EXAMPLES = {
    "limits": '{"crm.contact": "10/s"}',
    "breakers": '{"crm.contact": {"failures": 10, "pause": 60}}',
    "hubspot_properties": '{"Email": "email"}',
    "apps": '{"1400000001": ["token"]}',
    "desk_keys": '{"1400000001": "secret key"}',
    "console_users": '{"ana": {"role": "operator", "password": "scrypt.…"}}',
}
Signature = Literal["required", "when-present"]
LimitSetting = Annotated[Rate | Concurrency | None, PlainValidator(limit_of_setting)]
BreakerSetting = Annotated[Breaker | None, PlainValidator(breaker_of_setting)]
TENCENT_MS = 2000
"""Milliseconds after which Tencent takes a callback for failed (PROTOCOL §1)."""

_CHECKS: dict[str, Callable[[str], object]] = {
    "redis_url": RedisUrl.parse,
    "path_secret": check_path_secret,
    "crm_url": check_http_url,
    "crm_token": check_header_text,
    "wecom_url": check_http_url,
    "wecom_secret": check_header_text,
    "salesforce_url": check_org_url,
    "salesforce_client_secret": check_header_text,
    "hubspot_url": check_http_url,
    "hubspot_token": check_header_text,
    "hubspot_contact_id": check_property_name,
    "hubspot_note_id": check_property_name,
    "analytics_url": check_database_url,
    "desk_url": desk_host,
}
"""What refuses a text that could never work, by setting."""


class Settings(RetentionSettings, ConsoleSettings):
    """Every setting of Deskbell; `DESKBELL_` and the name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    env_file: Path | None = Field(
        default=None,
        description="A file with lines `NAME=value`, read at the start of each process and so again at SIGHUP: "
        "settings, and variables of your own; the environment takes precedence. By default `.env` in `APP_DIR`, if it "
        "is there.",
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis 7 or later, or Valkey: `redis://`, `rediss://`, `unix://`, Sentinel's `redis+sentinel://`, "
        "or a cluster's `redis+cluster://`.",
    )
    apps: dict[str, list[SecretStr]] = Field(
        default_factory=dict, description='JSON: each SdkAppid and its tokens, `{"1400000001": ["token"]}`.'
    )
    signature: Signature | dict[str, Signature] = Field(
        default="required",
        description="`required`: a callback without `Sign` is refused; `when-present`: it is not. JSON by SdkAppid for "
        'single apps: `{"1400000001": "when-present"}`.',
    )
    path_secret: SecretStr | None = Field(
        default=None, description="16 to 128 letters, digits, `-` or `_`: the URL becomes `/<secret>/callback`."
    )
    insecure: bool = Field(
        default=False, description="`1` allows an app without a token and without a path secret: anyone may call."
    )
    callbacks: str = Field(
        default="", description="The handlers, `package.module:callbacks`; several are separated by commas."
    )
    jobs: str = Field(default="", description="The job types, `package.module:jobs`; several are separated by commas.")
    app_dir: Path = Field(default=Path(), description="The folder that holds the integrator's package.")
    budget_ms: int = Field(
        default=1500,
        ge=100,
        le=10_000,
        description="Milliseconds within which the answer leaves; 2,000 at most, since Tencent waits no longer.",
    )
    long_budget: bool = Field(
        default=False,
        description="`1` allows a `BUDGET_MS` of up to 10,000, for a caller that is known to wait longer than Tencent.",
    )
    accept_ms: int | None = Field(
        default=None,
        description="Milliseconds of the budget that no handler gets, reserved for keeping the event, on Redis or on "
        "the disk; twice `REDIS_TIMEOUT_MS` by default.",
    )
    dedup_seconds: PositiveInt = Field(default=900, description="Seconds for which a delivery's answer is remembered.")
    max_body_bytes: int = Field(default=262_144, ge=1024, description="The largest body accepted.")
    max_in_flight: PositiveInt = Field(
        default=500, description="Callbacks that one process answers at once; the next is refused, 1010."
    )
    redis_timeout_ms: int = Field(
        default=250, ge=10, description="Milliseconds that the api waits for one answer of Redis."
    )
    refused_seconds: int = Field(
        default=300,
        ge=0,
        description="Seconds for which Redis may refuse for a reason that only a person can correct (a wrong password, "
        "a missing right) before `/readyz` answers 503: until then events are kept on the disk alone.",
    )
    min_replicas: int = Field(
        default=0,
        ge=0,
        description="Replicas of Redis that must have an event before it is answered, and a claim before a job begins.",
    )
    spool_dir: Path = Field(
        default=Path(".deskbell/spool"),
        description="The folder, on a local disk, where events are kept while Redis is away.",
    )
    spool_max_mb: PositiveInt = Field(
        default=512, description="Megabytes that the events of all processes may take up there."
    )
    abandoned_seconds: int = Field(
        default=60, ge=5, description="Seconds after which a job whose worker died is run again."
    )
    grace_seconds: int = Field(
        default=10,
        ge=0,
        description="Seconds that jobs and callbacks under way have to end when a process is told to stop.",
    )
    heartbeat_file: Path | None = Field(
        default=None,
        description="A file that the worker processes touch every five seconds or less, as long as Redis accepts their "
        "heartbeats: a health check looks at its age.",
    )
    log_format: Literal["json", "console", "dev"] = Field(
        default="json",
        description="`json` for machines; `console` for people, with tracebacks; `dev`, which `deskbell dev` sets, is "
        "JSON with tracebacks.",
    )
    limits: dict[str, LimitSetting] = Field(
        default_factory=dict,
        description='JSON: limits that replace those of job types, `{"crm.contact": "10/s"}`; a number means so many '
        "at once, `null` no limit. Give all workers the same.",
    )
    breakers: dict[str, BreakerSetting] = Field(
        default_factory=dict,
        description='JSON: circuit breakers that replace those of job types, `{"crm.contact": {"failures": 10, "pause":'
        " 60}}`; `null` means none. Give all workers the same.",
    )
    desk_keys: dict[str, SecretStr] = Field(
        default_factory=dict,
        description='JSON: the secret key of each SdkAppid whose jobs talk back to Desk, `{"1400000001": "key"}`; the '
        "console shows it.",
    )
    desk_identifier: str = Field(
        default="administrator", min_length=1, description="The administrator's account that jobs talk to Desk as."
    )
    desk_url: str = Field(
        default="china",
        description="Where the apps are: `china`, `singapore` or `america`; or the URL of a server that stands in for "
        "Desk's REST interface.",
    )
    crm_url: str = Field(default="", description="The CRM that contacts are written to; needed by its job type.")
    crm_token: SecretStr = Field(default=SecretStr(""), description="Bearer token of the CRM.")
    wecom_url: str = Field(
        default="https://qyapi.weixin.qq.com", description="WeCom's API, or a proxy whose address WeCom trusts."
    )
    wecom_corp_id: str = Field(default="", description="The corp id, `ww…`; needed by the job type `wecom.remark`.")
    wecom_secret: SecretStr = Field(
        default=SecretStr(""), description="The secret of the WeCom app that may call the customer contact API."
    )
    salesforce_url: str = Field(
        default="",
        description="The org's own domain, `https://example.my.salesforce.com`; needed by the job type "
        "`salesforce.contact`.",
    )
    salesforce_client_id: str = Field(default="", description="Consumer key of the app with client credentials flow.")
    salesforce_client_secret: SecretStr = Field(default=SecretStr(""), description="Consumer secret of that app.")
    salesforce_version: str = Field(
        default="66.0", pattern=r"^[1-9][0-9]{1,2}\.0$", description="Version of Salesforce's API; 46.0 or later."
    )
    hubspot_url: str = Field(default="https://api.hubapi.com", description="HubSpot's API.")
    hubspot_token: SecretStr = Field(
        default=SecretStr(""),
        description="Access token of a private app of HubSpot; needed by the job type hubspot.contact.",
    )
    hubspot_contact_id: str = Field(
        default="desk_user_id",
        description="The property of HubSpot's contacts, with unique values, that holds Desk's user id.",
    )
    hubspot_note_id: str = Field(
        default="deskbell_event_id",
        description="The property of HubSpot's notes, with unique values, that holds the event's id: by it no note is "
        "written twice.",
    )
    hubspot_properties: dict[str, str] = Field(
        default_factory=dict,
        description='JSON: which variables are written to properties of HubSpot\'s contacts, `{"Email": "email"}`.',
    )
    analytics_url: SecretStr = Field(
        default=SecretStr("sqlite:///.deskbell/analytics.db"), description="SQLAlchemy URL: SQLite or PostgreSQL."
    )

    @field_validator("apps")
    @classmethod
    def _tokens_are_tokens(cls, apps: dict[str, list[SecretStr]]) -> dict[str, list[SecretStr]]:
        for app_id, tokens in apps.items():
            _check_app(app_id)
            if not all(re.fullmatch(_TOKEN_FORM, token.get_secret_value()) for token in tokens):
                raise ValueError("expected tokens of 1 to 128 characters")
            for token in tokens:
                check_edges(token.get_secret_value())
        return apps

    @field_validator("desk_keys")
    @classmethod
    def _keys_are_of_apps(cls, keys: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for app_id, key in keys.items():
            _check_app(app_id)
            check_edges(key.get_secret_value())
            if not key.get_secret_value():
                raise ValueError(f"expected the secret key of {app_id}, which is empty")
        return keys

    @field_validator(*_CHECKS)
    @classmethod
    def _text_can_work(cls, value: Any, info: ValidationInfo) -> Any:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text:  # the environment gives no empty one
            _CHECKS[str(info.field_name)](text)
        return value

    @field_validator("hubspot_properties")
    @classmethod
    def _properties_are_names(cls, properties: dict[str, str]) -> dict[str, str]:
        for name in properties.values():
            check_property_name(name)
        return properties

    @field_validator("crm_url", "wecom_url", "salesforce_url", "hubspot_url")
    @classmethod
    def _paths_can_be_appended(cls, url: str) -> str:
        return url.rstrip("/")

    @model_validator(mode="after")
    def _signature_names_apps(self) -> Self:
        unknown = self.signature.keys() - self.apps.keys() if isinstance(self.signature, dict) else ()
        if unknown:
            raise ValueError(f"{PREFIX}SIGNATURE: {min(unknown)} is no app of {PREFIX}APPS")
        return self

    @model_validator(mode="after")
    def _budget_ends_before_the_caller_does(self) -> Self:
        if self.budget_ms > TENCENT_MS and not self.long_budget:
            raise ValueError(
                f"{PREFIX}BUDGET_MS: expected {TENCENT_MS} or less, since Tencent waits no longer (PROTOCOL §1), got "
                f"{self.budget_ms}; or {PREFIX}LONG_BUDGET=1"
            )
        return self

    @model_validator(mode="after")
    def _redis_fits_the_budget(self) -> Self:
        if self.redis_timeout_ms * 2 >= self.budget_ms:
            raise ValueError(
                f"{PREFIX}REDIS_TIMEOUT_MS: expected less than half of {PREFIX}BUDGET_MS, {self.budget_ms}, "
                f"got {self.redis_timeout_ms}"
            )
        if not self.redis_timeout_ms * 2 <= self.reserved_ms < self.budget_ms:
            raise ValueError(
                f"{PREFIX}ACCEPT_MS: expected twice {PREFIX}REDIS_TIMEOUT_MS, {self.redis_timeout_ms * 2}, or more, "
                f"and less than {PREFIX}BUDGET_MS, {self.budget_ms}, got {self.accept_ms}"
            )
        return self

    @property
    def reserved_ms(self) -> int:
        """Milliseconds of the budget reserved for accepting.

        Redis may hang for one call, which was under way when the reply was ready or is made for it; the rest is for the
        disk.
        """
        return 2 * self.redis_timeout_ms if self.accept_ms is None else self.accept_ms

    def needs_sign(self, app_id: str) -> bool:
        """Whether a callback of an app that has tokens is refused without `Sign`."""
        signature = self.signature.get(app_id, "required") if isinstance(self.signature, dict) else self.signature
        return signature == "required"

    @property
    def shards(self) -> int:
        """How many shards the Redis cluster has; 0 where there is no cluster."""
        return RedisUrl.parse(self.redis_url.get_secret_value()).shards

    @property
    def secret_path(self) -> str:
        """What the path secret puts before `/callback`; "" where there is none."""
        return f"/{self.path_secret.get_secret_value()}" if self.path_secret else ""

    def require_authentication(self) -> None:
        """Refuse to serve an app that anybody could call.

        Raises:
            ConfigError: there is no app, or one that neither a token nor the path secret protects.
        """
        if not self.apps:
            raise ConfigError(
                f'{PREFIX}APPS: expected an SdkAppid and its tokens, {{"1400000001": ["token"]}}, got none'
            )
        if self.insecure or self.path_secret:
            return
        for app_id, tokens in self.apps.items():
            if not tokens:
                raise ConfigError(
                    f"{PREFIX}APPS: expected a token for {app_id}, got none; add one, set {PREFIX}PATH_SECRET, "
                    f"or set {PREFIX}INSECURE=1 to let anybody call"
                )
        if not all(self.needs_sign(app_id) for app_id in self.apps):
            raise ConfigError(
                f"{PREFIX}SIGNATURE: when-present lets anybody call who leaves Sign out; set {PREFIX}PATH_SECRET, "
                f"or {PREFIX}INSECURE=1"
            )


def load_settings(**given: Any) -> Settings:
    """The settings of this process, from its environment and the environment file, which `env_file` then names.

    Raises:
        ConfigError: one sentence that names the setting, what was expected and what came.
    """
    file = read_env_file()
    check_environment([name.upper() for name in Settings.model_fields], file)
    try:
        return Settings(**({"env_file": file.path} if file.path else {}) | given)
    except SettingsError as error:
        name = str(error).split('"')[1]
        example = _JSON_EXAMPLES[name]
        name = f"{PREFIX}{name.upper()}"
        raise ConfigError(f"{file.place(name)}{name}: expected JSON, {example}, got text that is none") from None
    except ValidationError as error:
        raise ConfigError(_sentence(error, file)) from None


def _check_app(app_id: str) -> None:
    if not app_id.isascii() or not app_id.isdigit():
        raise ValueError("expected each SdkAppid to be digits")


def _sentence(error: ValidationError, file: EnvFile) -> str:
    first = error.errors(include_url=False)[0]
    reason = first["msg"].removeprefix("Value error, ").partition(", unable to parse")[0]
    if not first["loc"]:
        return reason
    name = str(first["loc"][0])
    field = Settings.model_fields[name]
    secret = (
        name in {"apps", "desk_keys", "console_users"}
        or "SecretStr" in str(field.annotation)
        or "@" in str(first["input"])
    )  # a password in a URL
    if name in _JSON_EXAMPLES and first["type"].endswith("_type"):
        reason = f"expected JSON, {_JSON_EXAMPLES[name]}"
    got = "a value not shown here" if secret else repr(first["input"])
    expected = reason[0].lower() + reason[1:]
    expected = expected if expected.startswith("expected") else f"expected {expected.removeprefix('input should be ')}"
    name = f"{PREFIX}{name.upper()}"
    return f"{file.place(name)}{name}: {expected}, got {got}"
