"""The settings by which every app is authenticated."""

from typing import Any

import pytest

from deskbell import Settings
from shared.errors import ConfigError
from shared.settings.config import load_settings
from tests.shared.settings.refused import PLANTED, refusal


@pytest.mark.parametrize(
    "given",
    [
        {"apps": {"1": ["t"]}},
        {"apps": {"1": ["t"], "2": ["t", "u"]}},
        {"apps": {"1": []}, "path_secret": PLANTED},
        {"apps": {"1": []}, "insecure": True},
        {"apps": {"1": ["t"]}, "signature": "when-present", "path_secret": PLANTED},
        {"apps": {"1": ["t"]}, "signature": "when-present", "insecure": True},
    ],
)
def test_settings_that_authenticate_every_app_are_accepted(given: dict[str, Any]) -> None:
    """By a Sign that is required, by the path's secret, or by an explicit word."""
    Settings(**given).require_authentication()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, 'DESKBELL_APPS: expected an SdkAppid and its tokens, {"1400000001": ["token"]}, got none'),
        (
            {"insecure": True},
            'DESKBELL_APPS: expected an SdkAppid and its tokens, {"1400000001": ["token"]}, got none',
        ),
        (
            {"apps": {"1": ["t"], "2": []}},
            (
                "DESKBELL_APPS: expected a token for 2, got none; add one, set DESKBELL_PATH_SECRET, "
                "or set DESKBELL_INSECURE=1 to let anybody call"
            ),
        ),
        (
            {"apps": {"1": ["t"]}, "signature": "when-present"},
            (
                "DESKBELL_SIGNATURE: when-present lets anybody call who leaves Sign out; set DESKBELL_PATH_SECRET, "
                "or DESKBELL_INSECURE=1"
            ),
        ),
    ],
)
def test_settings_that_leave_an_app_unauthenticated_are_refused(given: dict[str, Any], sentence: str) -> None:
    """An api that anybody could call does not start."""
    with pytest.raises(ConfigError) as caught:
        Settings(**given).require_authentication()

    assert str(caught.value) == sentence


def test_sign_may_be_asked_of_single_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    """By SdkAppid, as JSON; an app that is not named needs it."""
    monkeypatch.setenv("DESKBELL_APPS", '{"1": ["t"], "2": ["t"]}')
    monkeypatch.setenv("DESKBELL_SIGNATURE", '{"2": "when-present"}')

    settings = load_settings()

    assert (settings.needs_sign("1"), settings.needs_sign("2")) == (True, False)
    with pytest.raises(ConfigError, match="when-present lets anybody call"):
        settings.require_authentication()


@pytest.mark.parametrize("value", ["sometimes", '{"1": "sometimes"}', "{", '["required"]'])
def test_another_word_for_signature_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """With the words that there are."""
    sentence = refusal(monkeypatch, APPS='{"1": ["t"]}', SIGNATURE=value)

    assert sentence.startswith("DESKBELL_SIGNATURE: expected")
    assert "'required' or 'when-present'" in sentence
