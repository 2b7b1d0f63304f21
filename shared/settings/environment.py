"""Names of environment variables: a misspelt setting is refused, and so is a prefix for RQ's keys."""

import os
import re
from collections.abc import Collection
from difflib import get_close_matches

from shared.errors import ConfigError

PREFIX = "DESKBELL_"

_SERVICE_LINK = re.compile(  # what Kubernetes and Docker links write for a service named `deskbell` or `deskbell-…`
    r"([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_RQ_PREFIX = "RQ_KEY_PREFIX"


def check_environment(known: Collection[str]) -> None:
    """Refuse misspelt settings, which would be ignored."""
    check_rq_prefix()
    for name, value in os.environ.items():
        setting = name.removeprefix(PREFIX)
        if setting == name or setting in known or _is_service_link(setting, value):
            continue
        near = get_close_matches(setting, known, n=1)
        advice = f"; did you mean {PREFIX}{near[0]}?" if near else ""
        raise ConfigError(f"{name}: there is no such setting{advice}")


def check_rq_prefix() -> None:
    """Refuse a prefix for RQ's keys, which RQ reads when it is imported: our scripts would write other keys."""
    prefix = os.environ.get(_RQ_PREFIX, "rq")
    if prefix != "rq":
        raise ConfigError(f"{_RQ_PREFIX}: expected it not to be set, got {prefix!r}; Deskbell's keys are under rq:")


def _is_service_link(setting: str, value: str) -> bool:
    """Whether a variable is none that a person wrote; DESKBELL_PORT=8000 is a mistyped setting."""
    return bool(_SERVICE_LINK.fullmatch(setting)) and not (setting == "PORT" and value.isdigit())
