"""The file that DESKBELL_ENV_FILE names."""

import os
from pathlib import Path

import pytest

from shared.errors import ConfigError
from shared.settings.config import load_settings


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file adds is gone after the test."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, empty."""
    path = tmp_path / "deskbell.env"
    path.touch()
    monkeypatch.setenv("DESKBELL_ENV_FILE", str(path))
    return path


def test_its_lines_are_settings_and_variables_of_ones_own(file: Path) -> None:
    """Quotes, comments, `export` and dollars as they stand; nothing is substituted."""
    lines = [
        "# tokens",
        """DESKBELL_APPS='{"1400000001": ["a$b${HOME}"]}'""",
        "",
        "export DESKBELL_CRM_TOKEN=secret # here",
    ]
    file.write_text("\n".join([*lines, "ACME_KEY=x"]))

    settings = load_settings()

    assert [token.get_secret_value() for token in settings.apps["1400000001"]] == ["a$b${HOME}"]
    assert settings.crm_token.get_secret_value() == "secret"
    assert os.environ["ACME_KEY"] == "x"


def test_the_environment_takes_precedence_unless_it_is_empty(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's environment often sets what is left out to nothing."""
    file.write_text("DESKBELL_DEDUP_SECONDS=60\nDESKBELL_LOG_SIZE=70\n")
    monkeypatch.setenv("DESKBELL_DEDUP_SECONDS", "50")
    monkeypatch.setenv("DESKBELL_LOG_SIZE", "")

    settings = load_settings()

    assert (settings.dedup_seconds, settings.log_size) == (50, 70)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"A=1\nDESKBELL_CRM_TOKEN\n", "expected NAME=value, got something else in line 2 of"),
        (b"A=1\n\nB='planted\n", "expected NAME=value, got something else in line 3 of"),
        (b"A=1\nB=planted\0\n", "expected NAME=value, got something else in line 2 of"),
        ("A=planted\n".encode("utf-16-le"), "expected NAME=value, got something else in line 1 of"),
        (b"A=\xff\n", "expected a file that can be read, got"),
        (b"DESKBELL_DEDUP_SECONDS=soon\n", "DESKBELL_DEDUP_SECONDS: expected"),
        (b"DESKBELL_DEDUP_SECOND=1\n", "did you mean DESKBELL_DEDUP_SECONDS?"),
    ],
)
def test_what_is_wrong_in_it_is_a_sentence(file: Path, content: bytes, sentence: str) -> None:
    """With the line; never with what stands there."""
    file.write_bytes(content)

    with pytest.raises(ConfigError) as refused:
        load_settings()

    assert sentence in str(refused.value)
    assert "planted" not in str(refused.value)


def test_a_file_that_is_not_there_is_a_sentence(file: Path) -> None:
    """It was named, so somebody relies on it."""
    file.unlink()

    with pytest.raises(ConfigError, match=r"DESKBELL_ENV_FILE: expected a file that can be read, got .*: No such file"):
        load_settings()
