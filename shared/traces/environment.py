"""Whether traces are sent, and where: what OpenTelemetry's own environment variables say.

They are sent when the extra is installed and an endpoint is named, unless OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER
says otherwise. The SDK lets a wrong value pass with a warning, which may show it, and goes on without; here it is
refused.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit

from shared.errors import ConfigError

_OTLP = "OTEL_EXPORTER_OTLP_"
_PATH = "/v1/traces"
_EXPORTER = "opentelemetry-exporter-otlp-proto-http"
_SAMPLERS = [parent + how for parent in ("parentbased_", "") for how in ("always_on", "always_off", "traceidratio")]
_PAIR = re.compile(r"[ \t]*[!#-'*+\-.0-9A-Z^-z|~]+[ \t]*=[ -+\--:<-\[\]-~]*")  # as the SDK's reader has it


_MOST_SPANS = 2048  # that wait, unless the environment says otherwise

_Rule = tuple[Callable[[str], bool], str]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where traces go.

    Attributes:
        endpoint: the URL; "" when they are not sent.
        why_not: why they are not sent.
    """

    endpoint: str = ""
    why_not: str = ""

    def __str__(self) -> str:
        """A sentence."""
        return f"traces: sent to {self.endpoint}" if self.endpoint else f"traces: not sent, {self.why_not}"


def destination() -> Destination:
    """Where this environment has traces sent.

    Raises:
        ConfigError: a variable that the SDK would read has a value that it cannot use.
    """
    if _text("OTEL_SDK_DISABLED").lower() == "true":
        return Destination(why_not="OTEL_SDK_DISABLED is true")
    _check("OTEL_TRACES_EXPORTER", _one_of("otlp", "none"), "otlp or none")
    if _text("OTEL_TRACES_EXPORTER").lower() == "none":
        return Destination(why_not="OTEL_TRACES_EXPORTER is none")
    name = next((name for name in _both("ENDPOINT") if _text(name)), None)
    if not name:
        return Destination(why_not=f"{_OTLP}ENDPOINT is not set")
    if not _has_extra():
        return Destination(why_not=f"{name} is set, but the extra is not installed: pip install 'deskbell[otel]'")
    _check_all()
    endpoint = _text(name)
    return Destination(endpoint if "TRACES" in name else endpoint.removesuffix("/") + _PATH)


def _has_extra() -> bool:
    try:
        return bool(distribution(_EXPORTER))
    except PackageNotFoundError:
        return False


def _check_all() -> None:
    for kind, (is_right, expected) in _OF_THE_EXPORTER.items():
        for name in _both(kind):
            _check(name, is_right, expected, shown=kind not in _SECRET)
    for name, (is_right, expected) in _OTHERS.items():
        _check(name, is_right, expected)
    if "ratio" in _text("OTEL_TRACES_SAMPLER").lower():
        _check("OTEL_TRACES_SAMPLER_ARG", _is_share, "a number from 0 to 1")
    most = int(_text("OTEL_BSP_MAX_QUEUE_SIZE") or _MOST_SPANS)
    if int(_text("OTEL_BSP_MAX_EXPORT_BATCH_SIZE") or 1) > most:
        raise ConfigError(f"OTEL_BSP_MAX_EXPORT_BATCH_SIZE: expected no more than OTEL_BSP_MAX_QUEUE_SIZE, {most}")


def _both(kind: str) -> tuple[str, str]:
    """The variable of traces alone, which takes precedence, and that of all signals."""
    return f"{_OTLP}TRACES_{kind}", f"{_OTLP}{kind}"


def _text(name: str) -> str:
    return os.environ.get(name, "").strip()


def _check(name: str, is_right: Callable[[str], bool], expected: str, *, shown: bool = True) -> None:
    text = _text(name)
    if text and not is_right(text):
        raise ConfigError(f"{name}: expected {expected}, got {repr(text) if shown else 'a value not shown here'}")


def _one_of(*names: str) -> Callable[[str], bool]:
    return lambda text: text.lower() in names


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_web = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_web and parts.username is None and not re.search(r"[\s?#]", text)


def _are_pairs(text: str) -> bool:
    return all(_PAIR.fullmatch(part) for part in text.split(",") if part)


def _is_positive(text: str) -> bool:
    return _number(text) > 0


def _is_share(text: str) -> bool:
    return 0 <= _number(text) <= 1


def _is_count(text: str) -> bool:
    return text.isdecimal() and int(text) > 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1


def _is_file(text: str) -> bool:
    return Path(text).is_file()


_PAIRS: _Rule = (_are_pairs, "name=value, and more of them behind commas")
_COUNT: _Rule = (_is_count, "a whole number from 1")
_FILE: _Rule = (_is_file, "a file")
_SECRET = ("ENDPOINT", "HEADERS")
_OF_THE_EXPORTER: dict[str, _Rule] = {
    "ENDPOINT": (_is_endpoint, "http:// or https:// and a host, without user, ? and #"),
    "PROTOCOL": (_one_of("http/protobuf"), "http/protobuf, for which a collector has the port 4318"),
    "HEADERS": _PAIRS,
    "TIMEOUT": (_is_positive, "seconds, as Python's SDK reads it"),
    "COMPRESSION": (_one_of("none", "gzip", "deflate"), "none, gzip or deflate"),
    "CERTIFICATE": _FILE,
    "CLIENT_CERTIFICATE": _FILE,
    "CLIENT_KEY": _FILE,
}
_OTHERS: dict[str, _Rule] = {
    "OTEL_RESOURCE_ATTRIBUTES": _PAIRS,
    "OTEL_TRACES_SAMPLER": (_one_of(*_SAMPLERS), ", ".join(_SAMPLERS)),
    "OTEL_BSP_SCHEDULE_DELAY": _COUNT,
    "OTEL_BSP_EXPORT_TIMEOUT": _COUNT,
    "OTEL_BSP_MAX_QUEUE_SIZE": _COUNT,
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": _COUNT,
}
