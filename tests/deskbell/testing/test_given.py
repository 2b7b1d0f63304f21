"""The settings that a test gives."""

import pytest

from deskbell.testing.given import settings_given
from shared.errors import ConfigError


def test_what_is_given_goes_before_a_default_and_that_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's own word is the last; what nobody says is as in production."""
    for name in ("RECORD_MB", "BUDGET_MS", "DEDUP_SECONDS"):
        monkeypatch.setenv(f"DESKBELL_{name}", "1900")

    settings = settings_given({"record_mb": 1}, record_mb=2, budget_ms=1800)

    assert (settings.record_mb, settings.budget_ms, settings.dedup_seconds) == (1, 1800, 1900)


def test_a_misspelt_setting_is_refused() -> None:
    """With the nearest one."""
    with pytest.raises(ConfigError) as refused:
        settings_given({"callback": "acme:callbacks"})

    assert str(refused.value) == "deskbell_settings: there is no setting 'callback'; did you mean callbacks?"
