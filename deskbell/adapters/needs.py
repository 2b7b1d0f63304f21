"""What the job types that ship need of the settings; `check`, `doctor` and workers at their start look at it."""

from collections.abc import Iterable, Iterator

from shared.errors import ConfigError
from shared.settings.config import Settings
from shared.settings.environment import PREFIX

NEEDS = {
    "crm.contact": ("crm_url",),
    "hubspot.contact": ("hubspot_url", "hubspot_token"),
    "salesforce.contact": ("salesforce_url", "salesforce_client_id", "salesforce_client_secret"),
    "wecom.remark": ("wecom_url", "wecom_corp_id", "wecom_secret"),
}
"""By job type, the settings without which it does nothing; the first is the URL that it calls."""


def missing(job_types: Iterable[str], settings: Settings) -> Iterator[str]:
    """A sentence for each setting that one of these job types needs and that is empty."""
    for name in NEEDS.keys() & set(job_types):
        for setting in NEEDS[name]:
            if not getattr(settings, setting):
                yield f"the job type {name} needs {PREFIX}{setting.upper()}, which is empty: each of its jobs fails"


def require(job_type: str, settings: Settings) -> None:
    """Refuse settings that lack something a job type needs.

    Raises:
        ConfigError: the first of them.
    """
    for sentence in missing([job_type], settings):
        raise ConfigError(sentence)


def servers(settings: Settings) -> Iterator[str]:
    """The URLs that job types which ship can call with these settings."""
    for needed in NEEDS.values():
        if all(getattr(settings, setting) for setting in needed):
            yield getattr(settings, needed[0])
