"""The settings."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from deskbell import Settings
from shared.declarations.policies import Breaker, Concurrency, Rate
from shared.settings.config import load_settings
from shared.settings.environment import PREFIX
from tests.shared.settings.refused import PLANTED, refusal


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`DESKBELL_` and the name in capitals; APPS is JSON."""
    environment = {
        "ENV_FILE": "/dev/null",
        "REDIS_URL": "rediss://user:pass@redis.internal:6380/1",
        "APPS": '{"1400000001": ["old", "new"], "1400000002": []}',
        "SIGNATURE": "when-present",
        "PATH_SECRET": PLANTED,
        "INSECURE": "1",
        "CALLBACKS": "acme.callbacks:callbacks",
        "JOBS": "acme.jobs:jobs",
        "APP_DIR": "/srv/acme",
        "BUDGET_MS": "9000",
        "LONG_BUDGET": "1",
        "ACCEPT_MS": "300",
        "DEDUP_SECONDS": "60",
        "MAX_BODY_BYTES": "4096",
        "MAX_IN_FLIGHT": "50",
        "REDIS_TIMEOUT_MS": "100",
        "MIN_REPLICAS": "1",
        "SPOOL_DIR": "/var/spool/deskbell",
        "SPOOL_MAX_MB": "64",
        "ABANDONED_SECONDS": "30",
        "GRACE_SECONDS": "5",
        "REFUSED_SECONDS": "7",
        "HEARTBEAT_FILE": "/run/heartbeat",
        "RECORD_HOURS": "24",
        "RECORD_MB": "5",
        "RECORD_VALUES": "1",
        "DEAD_DAYS": "30",
        "ANALYTICS_DAYS": "365",
        "LOG_FORMAT": "console",
        "LIMITS": '{"crm.contact": "10/s", "analytics.event": 4, "acme.push": null}',
        "BREAKERS": '{"crm.contact": {"failures": 5, "pause": 20}, "analytics.event": null}',
        "CRM_URL": "https://crm.internal/api/",
        "CRM_TOKEN": "t",
        "DESK_KEYS": '{"1400000001": "a-key"}',
        "DESK_IDENTIFIER": "bot",
        "DESK_URL": "singapore",
        "WECOM_URL": "https://wecom-proxy.internal/",
        "WECOM_CORP_ID": "ww1",
        "WECOM_SECRET": "w",
        "SALESFORCE_URL": "https://acme.my.salesforce.com/",
        "SALESFORCE_CLIENT_ID": "3MVG9",
        "SALESFORCE_CLIENT_SECRET": "s",
        "SALESFORCE_VERSION": "67.0",
        "HUBSPOT_URL": "https://hubspot-proxy.internal/",
        "HUBSPOT_TOKEN": "h",
        "HUBSPOT_CONTACT_ID": "shop_user",
        "HUBSPOT_NOTE_ID": "shop_event",
        "HUBSPOT_PROPERTIES": '{"Email": "email"}',
        "ANALYTICS_URL": "postgresql+psycopg://db.internal/analytics",
        "CONSOLE_USERS": f'{{"ana": {{"role": "operator", "password": "scrypt.15.8.3.{"s" * 22}.{"h" * 43}"}}}}',
        "CONSOLE_KEY": "k" * 32,
        "CONSOLE_URL": "https://Ops.internal:443/deskbell/",
    }
    for name, value in environment.items():
        monkeypatch.setenv(PREFIX + name, value)

    settings = load_settings()

    assert {name.upper() for name in Settings.model_fields} == set(environment)
    assert settings.redis_url.get_secret_value() == environment["REDIS_URL"]
    assert [token.get_secret_value() for token in settings.apps["1400000001"]] == ["old", "new"]
    assert settings.apps["1400000002"] == []
    assert settings.signature == "when-present"
    assert settings.path_secret is not None
    assert settings.path_secret.get_secret_value() == PLANTED
    assert settings.insecure is True
    assert (settings.callbacks, settings.jobs) == ("acme.callbacks:callbacks", "acme.jobs:jobs")
    assert settings.app_dir == Path("/srv/acme")
    assert settings.reserved_ms == settings.accept_ms == 300
    assert (settings.budget_ms, settings.dedup_seconds, settings.max_body_bytes) == (9000, 60, 4096)
    assert (settings.redis_timeout_ms, settings.log_format) == (100, "console")
    assert (settings.record_hours, settings.record_mb, settings.record_values) == (24, 5, True)
    assert (settings.max_in_flight, settings.refused_seconds) == (50, 7)
    spool = (settings.spool_dir, settings.spool_max_mb, settings.min_replicas)
    assert spool == (Path("/var/spool/deskbell"), 64, 1)
    assert (settings.crm_url, settings.crm_token.get_secret_value()) == ("https://crm.internal/api", "t")
    assert (settings.desk_keys["1400000001"].get_secret_value(), settings.desk_identifier) == ("a-key", "bot")
    assert settings.desk_url == "singapore"
    hubspot = (settings.hubspot_url, settings.hubspot_token.get_secret_value(), settings.hubspot_properties)
    assert hubspot == ("https://hubspot-proxy.internal", "h", {"Email": "email"})
    assert (settings.hubspot_contact_id, settings.hubspot_note_id) == ("shop_user", "shop_event")
    wecom = (settings.wecom_url, settings.wecom_corp_id, settings.wecom_secret.get_secret_value())
    assert wecom == ("https://wecom-proxy.internal", "ww1", "w")
    assert (settings.salesforce_url, settings.salesforce_client_id) == ("https://acme.my.salesforce.com", "3MVG9")
    assert (settings.salesforce_client_secret.get_secret_value(), settings.salesforce_version) == ("s", "67.0")
    assert settings.analytics_url.get_secret_value() == environment["ANALYTICS_URL"]
    assert settings.console_users["ana"].role == "operator"
    assert settings.console_key is not None
    assert (settings.console_key.get_secret_value(), settings.console_url) == (
        "k" * 32,
        "https://ops.internal/deskbell",
    )
    assert settings.limits == {"crm.contact": Rate(10, 1000), "analytics.event": Concurrency(4), "acme.push": None}
    assert settings.breakers == {"crm.contact": Breaker(failures=5, pause=20), "analytics.event": None}


def test_what_is_given_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command's option is nearer than the environment."""
    monkeypatch.setenv("DESKBELL_RECORD_MB", "5")

    assert load_settings(record_mb=7).record_mb == 7


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
def test_an_empty_setting_is_the_default(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Compose files pass variables on that nobody has set."""
    monkeypatch.setenv(PREFIX + name, "")

    assert load_settings() == Settings()


def test_settings_do_not_change() -> None:
    """One frozen object, built where the process begins."""
    settings = Settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.budget_ms = 1


REDIS_URLS = (
    "expected a valid URL that begins with redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, "
    "redis+cluster:// or rediss+cluster://"
)
REDIS_ADDRESS = (
    "expected host:port with a port from 1 to 65535; in a user or password write / as %2F, ? as %3F, # as %23, @ as "
    "%40, : as %3A and % as %25"
)
PROPERTY = "expected the internal name of a property: a letter, then letters, digits and _"
HTTP = "http:// or https://"
CRM_URLS = f"expected a valid URL that begins with {HTTP}"
EDGES = "expected no blank at either end, no newline and no other control character"
VISIBLE = "expected visible ASCII characters only: no blank, and no newline at its end"
CRM_HOST = "expected a URL with the name or the address of a host, https://crm.example"
CRM_BARE = "expected a URL without ? and #: what is asked for is appended to its path"
CONSOLE_PATH = "expected a path of letters, digits, `-`, `_` and `.`, https://ops.example.com/deskbell"
CRM_NOBODY = "expected a URL without user and password: they are settings of their own"
LIMIT = 'expected for each job type starts in a s, min or h, "10/s", a number at once, 4, or null'
BREAKER = 'expected for each job type whole numbers of 1 or more, {"failures": 10, "pause": 60}, or null'
SQLITE_FILE = "expected a file, sqlite:///relative/path.db or sqlite:////absolute/path.db"
ACCEPT = "expected twice DESKBELL_REDIS_TIMEOUT_MS, 500, or more, and less than DESKBELL_BUDGET_MS, 1500"
HIDDEN = "got a value not shown here"
UNKNOWN = "there is no such setting"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("REDIS_URL", "http://redis.internal", f"{REDIS_URLS}, {HIDDEN}"),
        ("REDIS_URL", "redis://redis.internal:port/0", f"{REDIS_ADDRESS}, {HIDDEN}"),
        ("APPS", "1400000001:token", 'expected JSON, {"1400000001": ["token"]}, got text that is none'),
        ("APPS", '["token"]', f'expected JSON, {{"1400000001": ["token"]}}, {HIDDEN}'),
        ("APPS", '{"1400000001": "token"}', f'expected JSON, {{"1400000001": ["token"]}}, {HIDDEN}'),
        ("APPS", '{"1400000001": [5]}', f'expected JSON, {{"1400000001": ["token"]}}, {HIDDEN}'),
        ("APPS", '{"my app": ["token"]}', f"expected each SdkAppid to be digits, {HIDDEN}"),
        ("APPS", '{"٣": ["token"]}', f"expected each SdkAppid to be digits, {HIDDEN}"),
        ("APPS", '{"": ["token"]}', f"expected each SdkAppid to be digits, {HIDDEN}"),
        ("APPS", '{"1400000001": [""]}', f"expected tokens of 1 to 128 characters, {HIDDEN}"),
        ("APPS", json.dumps({"1": ["t" * 129]}), f"expected tokens of 1 to 128 characters, {HIDDEN}"),
        ("APPS", '{"1": ["\\ud800"]}', f"expected tokens of 1 to 128 characters, {HIDDEN}"),
        ("SIGNATURE", "optional", "expected 'required' or 'when-present', got 'optional'"),
        ("SIGNATURE", '{"2": "when-present"}', "2 is no app of DESKBELL_APPS"),
        ("PATH_SECRET", "short", f"expected 16 to 128 letters, digits, - or _, {HIDDEN}"),
        ("PATH_SECRET", "s" * 129, f"expected 16 to 128 letters, digits, - or _, {HIDDEN}"),
        ("PATH_SECRET", "not/one/path/segment", f"expected 16 to 128 letters, digits, - or _, {HIDDEN}"),
        ("INSECURE", "maybe", "expected a valid boolean, unable to interpret input, got 'maybe'"),
        ("BUDGET_MS", "soon", "expected a valid integer, got 'soon'"),
        ("BUDGET_MS", "99", "expected greater than or equal to 100, got '99'"),
        (
            "BUDGET_MS",
            "2001",
            "expected 2000 or less, since Tencent waits no longer (PROTOCOL §1), got 2001; or DESKBELL_LONG_BUDGET=1",
        ),
        ("BUDGET_MS", "10001", "expected less than or equal to 10000, got '10001'"),
        ("ACCEPT_MS", "499", f"{ACCEPT}, got 499"),
        ("ACCEPT_MS", "1500", f"{ACCEPT}, got 1500"),
        ("DEDUP_SECONDS", "0", "expected greater than 0, got '0'"),
        ("MAX_BODY_BYTES", "1023", "expected greater than or equal to 1024, got '1023'"),
        ("REDIS_TIMEOUT_MS", "9", "expected greater than or equal to 10, got '9'"),
        ("REDIS_TIMEOUT_MS", "750", "expected less than half of DESKBELL_BUDGET_MS, 1500, got 750"),
        ("RECORD_MB", "-1", "expected greater than 0, got '-1'"),
        ("LOG_FORMAT", "xml", "expected 'json', 'console' or 'dev', got 'xml'"),
        ("HUBSPOT_PROPERTIES", '{"Email": "e-mail"}', f"{PROPERTY}, got {{'Email': 'e-mail'}}"),
        ("HUBSPOT_NOTE_ID", "an event", f"{PROPERTY}, got 'an event'"),
        ("HUBSPOT_TOKEN", f"{PLANTED}\n", f"{VISIBLE}, {HIDDEN}"),
        ("LIMITS", "10/s", 'expected JSON, {"crm.contact": "10/s"}, got text that is none'),
        ("LIMITS", '{"crm.contact": "fast"}', f"{LIMIT}, got 'fast'"),
        ("LIMITS", '{"crm.contact": 0}', f"{LIMIT}, got 0"),
        ("LIMITS", '{"crm.contact": true}', f"{LIMIT}, got True"),
        ("BREAKERS", "10", 'expected JSON, {"crm.contact": {"failures": 10, "pause": 60}}, got 10'),
        ("BREAKERS", "on", 'expected JSON, {"crm.contact": {"failures": 10, "pause": 60}}, got text that is none'),
        ("BREAKERS", '{"crm.contact": 10}', f"{BREAKER}, got 10"),
        ("BREAKERS", '{"crm.contact": {"failures": 0}}', f"{BREAKER}, got {{'failures': 0}}"),
        ("BREAKERS", '{"crm.contact": {"failing": 9}}', f"{BREAKER}, got {{'failing': 9}}"),
        ("CONSOLE_URL", "https://ops.internal//evil", f"{CONSOLE_PATH}, got 'https://ops.internal//evil'"),
        ("CONSOLE_URL", "https://ops.internal/a;b", f"{CONSOLE_PATH}, got 'https://ops.internal/a;b'"),
        ("CRM_URL", "crm.internal", f"{CRM_URLS}, got 'crm.internal'"),
        ("CRM_URL", "ftp://crm.internal", f"{CRM_URLS}, got 'ftp://crm.internal'"),
        ("CRM_URL", "http://crm.internal:port", f"{CRM_URLS}, got 'http://crm.internal:port'"),
        ("CRM_URL", "http://crm.internal\n", f"{EDGES}, got 'http://crm.internal\\n'"),
        ("CRM_URL", " http://crm.internal", f"{EDGES}, got ' http://crm.internal'"),
        ("CRM_URL", "http://crm internal", "expected a URL without blanks, got 'http://crm internal'"),
        ("CRM_URL", "http://", f"{CRM_HOST}, got 'http://'"),
        ("CRM_URL", "http://:8010/api", f"{CRM_HOST}, got 'http://:8010/api'"),
        ("CRM_URL", "http://crm..internal", f"{CRM_HOST}, got 'http://crm..internal'"),
        ("CRM_URL", "http://crm.internal/?key=1", f"{CRM_BARE}, got 'http://crm.internal/?key=1'"),
        ("CRM_URL", "http://crm.internal#", f"{CRM_BARE}, got 'http://crm.internal#'"),
        (
            "SALESFORCE_URL",
            "https://login.salesforce.com",
            "expected the org's own domain, https://example.my.salesforce.com, got 'https://login.salesforce.com'",
        ),
        ("DESK_URL", "europe", f"expected china, singapore, america or a URL that begins with {HTTP}, got 'europe'"),
        ("DESK_KEYS", "a-key", 'expected JSON, {"1400000001": "secret key"}, got text that is none'),
        ("DESK_KEYS", f'{{"1400000001": ["{PLANTED}"]}}', f'expected JSON, {{"1400000001": "secret key"}}, {HIDDEN}'),
        ("DESK_KEYS", '{"1400000001": ""}', f"expected the secret key of 1400000001, which is empty, {HIDDEN}"),
        ("DESK_KEYS", '{"acme": "key"}', f"expected each SdkAppid to be digits, {HIDDEN}"),
        ("DESK_KEYS", f'{{"1400000001": "{PLANTED} "}}', f"{EDGES}, {HIDDEN}"),
        ("CRM_URL", f"http://u:{PLANTED}@crm.internal", f"{CRM_NOBODY}, {HIDDEN}"),
        ("CRM_TOKEN", f"{PLANTED}\n", f"{VISIBLE}, {HIDDEN}"),
        ("CRM_TOKEN", f" {PLANTED}", f"{VISIBLE}, {HIDDEN}"),
        ("CRM_TOKEN", "Bearer token", f"{VISIBLE}, {HIDDEN}"),
        ("CRM_TOKEN", "tökén", f"{VISIBLE}, {HIDDEN}"),
        ("APPS", '{"1400000001": ["token\\n"]}', f"{EDGES}, {HIDDEN}"),
        ("APPS", '{"1400000001": [" token"]}', f"{EDGES}, {HIDDEN}"),
        ("PATH_SECRET", f"{PLANTED}\n", f"expected 16 to 128 letters, digits, - or _, {HIDDEN}"),
        ("REDIS_URL", "redis://:pass\n@redis.internal/0", f"{EDGES}, {HIDDEN}"),
        ("ANALYTICS_URL", "postgresql://db.internal/analytics\n", f"{EDGES}, {HIDDEN}"),
        ("ANALYTICS_URL", "sqlite://", f"{SQLITE_FILE}, {HIDDEN}"),
        ("ANALYTICS_URL", "sqlite:///:memory:", f"{SQLITE_FILE}, {HIDDEN}"),
        ("ANALYTICS_URL", "sqlite://analytics.db", f"{SQLITE_FILE}, {HIDDEN}"),
        (
            "ANALYTICS_URL",
            "mysql://db.internal",
            f"expected a valid URL that begins with sqlite:// or postgresql:// or postgresql+psycopg://, {HIDDEN}",
        ),
        # Ignored, a misspelt one would be the default that nobody chose.
        ("BUGDET_MS", PLANTED, f"{UNKNOWN}; did you mean DESKBELL_BUDGET_MS?"),
        ("REDIS_URI", PLANTED, f"{UNKNOWN}; did you mean DESKBELL_REDIS_URL?"),
        ("JOB", PLANTED, f"{UNKNOWN}; did you mean DESKBELL_JOBS?"),
        ("ZZZZ", PLANTED, UNKNOWN),
        # Names like those that Kubernetes sets, with values that only a person types.
        ("PORT", "8000", UNKNOWN),
        ("REDIS_PORT", "6379", f"{UNKNOWN}; did you mean DESKBELL_REDIS_URL?"),
        ("SERVICE_PORT", "http", UNKNOWN),
        ("PORTS", "tcp://h:1", UNKNOWN),
        ("PORT_8000_TCP_ADDR", "", UNKNOWN),
    ],
)
def test_a_wrong_setting_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    """It names the setting, what was expected and what came."""
    assert refusal(monkeypatch, **{name: value}) == f"{PREFIX}{name}: {sentence}"


def test_no_secret_is_in_a_repr() -> None:
    """Settings end in tracebacks and debuggers."""
    given: dict[str, Any] = {
        "redis_url": f"redis://:{PLANTED}@redis.internal",
        "apps": {"1400000001": [PLANTED]},
        "path_secret": PLANTED,
        "crm_token": PLANTED,
        "analytics_url": f"postgresql://:{PLANTED}@db.internal",
    }

    settings = Settings(**given)

    assert PLANTED not in repr(settings)
    assert PLANTED not in str(settings)
    assert PLANTED not in settings.model_dump_json()


SERVICE_LINKS = {
    "DESKBELL_SERVICE_HOST": "10.96.0.12",
    "DESKBELL_SERVICE_PORT": "8000",
    "DESKBELL_SERVICE_PORT_HTTP": "8000",
    "DESKBELL_PORT": "tcp://10.96.0.12:8000",
    "DESKBELL_PORT_8000_TCP": "tcp://10.96.0.12:8000",
    "DESKBELL_PORT_8000_TCP_PROTO": "tcp",
    "DESKBELL_PORT_8000_TCP_PORT": "8000",
    "DESKBELL_PORT_8000_TCP_ADDR": "10.96.0.12",
    "DESKBELL_API_SERVICE_HOST": "fd00::12",
    "DESKBELL_API_PORT": "tcp://[fd00::12]:8000",
    "DESKBELL_API_PORT_8000_TCP_ADDR": "fd00::12",
    "DESKBELL_REDIS_2_PORT_53_UDP": "udp://10.96.0.13:53",
}


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(SERVICE_LINKS, id="of a Service named deskbell or deskbell-api, by names that begin as ours"),
        pytest.param({"RQ_KEY_PREFIX": "rq"}, id="RQ's own prefix, which it takes anyway"),
        pytest.param({"BUDGET_MS": "soon", "DESKBELLS_BUDGET_MS": "soon"}, id="of other programs"),
    ],
)
def test_other_variables_of_the_environment_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """Only the prefix is ours, and not even all of that: Kubernetes puts host and ports of a Service into a pod."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert load_settings() == Settings()


@pytest.mark.parametrize("prefix", ["shop", "shoprq", ":rq", ""])
def test_a_prefix_of_rqs_keys_from_which_ours_cannot_be_told_is_refused(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """Ours are beside RQ's: `shop:rq` and `shop:deskbell`."""
    monkeypatch.setenv("RQ_KEY_PREFIX", prefix)

    assert refusal(monkeypatch) == (f"RQ_KEY_PREFIX: expected rq, or a name before it, such as shop:rq, got {prefix!r}")


def test_a_prefix_of_rqs_keys_in_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """RQ has read the environment by then: jobs would lie on queues that no worker reads."""
    (tmp_path / ".env").write_text("\nRQ_KEY_PREFIX=shop:rq\n")
    monkeypatch.setenv("DESKBELL_ENV_FILE", str(tmp_path / ".env"))
    monkeypatch.setenv("RQ_KEY_PREFIX", "")

    assert refusal(monkeypatch) == (
        f"{tmp_path}/.env, line 2: RQ_KEY_PREFIX: expected it in the environment of the start, where RQ reads it"
    )
