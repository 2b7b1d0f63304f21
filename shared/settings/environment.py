"""Names of environment variables: a misspelt setting is refused, and so is a prefix that RQ's keys cannot have."""

import os
import re
from collections.abc import Collection
from difflib import get_close_matches

from shared.errors import ConfigError
from shared.keys import RQ_KEY_PREFIX, RQ_PREFIX, SHARD, is_prefix
from shared.settings.env_file import EnvFile

PREFIX = "DESKBELL_"

# What Kubernetes and Docker links write for a service named `deskbell` or `deskbell-…`, with the form of each value: a
# mistyped setting such as DESKBELL_REDIS_PORT=6379 is none.
_PORT = r"[0-9]{1,5}"
_SERVICE_LINKS = {
    "SERVICE_HOST": r"\S+",
    "SERVICE_PORT(_[A-Z0-9_]+)?": _PORT,
    "PORT(_[0-9]+_(TCP|UDP|SCTP))?": rf"(tcp|udp|sctp)://\S+:{_PORT}",
    "PORT_[0-9]+_(TCP|UDP|SCTP)_PROTO": "tcp|udp|sctp",
    "PORT_[0-9]+_(TCP|UDP|SCTP)_PORT": _PORT,
    "PORT_[0-9]+_(TCP|UDP|SCTP)_ADDR": r"\S+",
}


def check_environment(known: Collection[str], file: EnvFile) -> None:
    """Refuse misspelt settings, which would be ignored; the environment already holds what the file says."""
    check_rq_prefix(file)
    if SHARD is None and RQ_PREFIX != "rq" and "+cluster:" in os.environ.get(f"{PREFIX}REDIS_URL", ""):
        raise ConfigError(f"{RQ_KEY_PREFIX}: expected none on a cluster, where keys begin with their shard's name")
    for name, value in os.environ.items():
        setting = name.removeprefix(PREFIX)
        if setting == name or setting in known or _is_service_link(setting, value):
            continue
        near = get_close_matches(setting, known, n=1)
        advice = f"; did you mean {PREFIX}{near[0]}?" if near else ""
        raise ConfigError(f"{file.place(name)}{name}: there is no such setting{advice}")


def check_rq_prefix(file: EnvFile | None = None) -> None:
    """Refuse what RQ's keys cannot begin with, and another prefix than this process has had since it was started."""
    prefix = os.environ.get(RQ_KEY_PREFIX, "rq")
    place = file.place(RQ_KEY_PREFIX) if file else ""
    if not is_prefix(prefix):
        raise ConfigError(f"{place}{RQ_KEY_PREFIX}: expected rq, or a name before it, such as shop:rq, got {prefix!r}")
    if prefix != RQ_PREFIX:
        raise ConfigError(f"{place}{RQ_KEY_PREFIX}: expected it in the environment of the start, where RQ reads it")


def _is_service_link(setting: str, value: str) -> bool:
    return any(
        re.fullmatch(rf"([A-Z0-9_]+_)?{form}", setting) and re.fullmatch(value_form, value)
        for form, value_form in _SERVICE_LINKS.items()
    )
