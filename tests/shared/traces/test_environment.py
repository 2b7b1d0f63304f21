"""OpenTelemetry's environment variables: when traces are sent, and where; a wrong one is refused in a sentence."""

from importlib.metadata import PackageNotFoundError

import pytest

from shared.errors import ConfigError
from shared.traces import environment
from shared.traces.environment import destination

ENDPOINT, OF_TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
COLLECTOR = "http://collector:4318"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "traces: not sent, OTEL_EXPORTER_OTLP_ENDPOINT is not set"),
        ({ENDPOINT: COLLECTOR}, "traces: sent to http://collector:4318/v1/traces"),
        ({ENDPOINT: f"{COLLECTOR}/otlp/"}, "traces: sent to http://collector:4318/otlp/v1/traces"),
        ({ENDPOINT: COLLECTOR, OF_TRACES: "https://other/t"}, "traces: sent to https://other/t"),
        ({ENDPOINT: COLLECTOR, "OTEL_TRACES_EXPORTER": "None"}, "traces: not sent, OTEL_TRACES_EXPORTER is none"),
        ({ENDPOINT: COLLECTOR, "OTEL_SDK_DISABLED": "true"}, "traces: not sent, OTEL_SDK_DISABLED is true"),
    ],
)
def test_traces_are_sent_when_an_endpoint_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    """That of traces goes before that of all signals, and is taken as it is; the standard's switches turn them off."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert str(destination()) == sentence


def test_without_the_extra_none_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to install; a platform may set the variable for every process."""
    monkeypatch.setenv(ENDPOINT, COLLECTOR)

    def nothing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(environment, "distribution", nothing)

    assert str(destination()).endswith("but the extra is not installed: pip install 'deskbell[otel]'")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "expected otlp or none, got 'zipkin'"),
        (ENDPOINT, "collector:4318", "expected http:// or https:// and a host, without user, ? and #"),
        (ENDPOINT, "https://user:t0p@collector", "expected http:// or https:// and a host, without user, ? and #"),
        (OF_TRACES, "https://collector/?key=t0p", "expected http:// or https:// and a host, without user, ? and #"),
        (ENDPOINT, "http://collector:0/", "expected http:// or https:// and a host, without user, ? and #"),
        (ENDPOINT, "http://[t0p", "expected http:// or https:// and a host, without user, ? and #"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "expected http/protobuf, for which a collector has the port 4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Bearer t0p", "expected name=value, and more of them behind commas"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=1,t0p", "expected name=value, and more of them behind commas"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "expected seconds, as Python's SDK reads it, got '10s'"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "expected none, gzip or deflate, got 'zstd'"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere", "expected a file, got '/nowhere'"),
        ("OTEL_RESOURCE_ATTRIBUTES", "shop", "expected name=value, and more of them behind commas"),
        ("OTEL_TRACES_SAMPLER", "some", "expected parentbased_always_on, parentbased_always_off,"),
        ("OTEL_TRACES_SAMPLER_ARG", "10", "expected a number from 0 to 1, got '10'"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon", "expected a whole number from 1, got 'soon'"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9999", "expected no more than OTEL_BSP_MAX_QUEUE_SIZE, 2048"),
    ],
)
def test_a_wrong_variable_is_refused_in_a_sentence_that_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    """The SDK would go on without it, after a warning that shows the value."""
    monkeypatch.setenv(ENDPOINT, COLLECTOR)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError) as refused:
        destination()

    assert str(refused.value).startswith(f"{name}: {sentence}")
    assert "t0p" not in str(refused.value)


def test_headers_with_a_token_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As vendors write them: with blanks, and with signs of equality in the value."""
    monkeypatch.setenv(ENDPOINT, COLLECTOR)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic dXNlcg==, x-tenant=acme")

    assert destination().endpoint
