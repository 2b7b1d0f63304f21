"""The file of settings: `.env`, or what DESKBELL_ENV_FILE names."""

import os
from pathlib import Path

import pytest

from shared.errors import ConfigError
from shared.settings.config import load_settings
from tests.foreign import give_away


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


def test_a_file_that_an_editor_of_windows_wrote_is_read(file: Path) -> None:
    """With a byte order mark, and a carriage return at the end of each line."""
    file.write_bytes(b"\xef\xbb\xbfDESKBELL_RECORD_MB=70\r\nDESKBELL_CRM_TOKEN=secret\r\n")

    settings = load_settings()

    assert (settings.record_mb, settings.crm_token.get_secret_value()) == (70, "secret")


def test_the_environment_takes_precedence_unless_it_is_empty(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's environment often sets what is left out to nothing."""
    file.write_text("DESKBELL_DEDUP_SECONDS=60\nDESKBELL_RECORD_MB=70\n")
    monkeypatch.setenv("DESKBELL_DEDUP_SECONDS", "50")
    monkeypatch.setenv("DESKBELL_RECORD_MB", "")

    settings = load_settings()

    assert (settings.dedup_seconds, settings.record_mb) == (50, 70)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"A=1\nDESKBELL_CRM_TOKEN\n", "deskbell.env, line 2: expected NAME=value, got something else"),
        (b"A=1\n\nB='planted\n", "deskbell.env, line 3: expected NAME=value, got something else"),
        (
            b'DESKBELL_APPS="{"1": ["planted"]}"\n',
            "deskbell.env, line 1: expected NAME=value, got something else; a value",
        ),
        (b"A=1\nB=planted\0\n", "deskbell.env, line 2: expected NAME=value, got something else"),
        ("A=planted\n".encode("utf-16-le"), "deskbell.env, line 1: expected NAME=value, got something else"),
        (b"A=\xff\n", "expected a file that can be read, got"),
        (b"\nDESKBELL_DEDUP_SECONDS=soon\n", "deskbell.env, line 2: DESKBELL_DEDUP_SECONDS: expected"),
        (b"DESKBELL_APPS=planted\n", "deskbell.env, line 1: DESKBELL_APPS: expected JSON"),
        (
            b"DESKBELL_DEDUP_SECOND=1\n",
            ".env, line 1: DESKBELL_DEDUP_SECOND: there is no such setting; did you mean DESKBELL_DEDUP_SECONDS?",
        ),
        (b"DESKBELL_ENV_FILE=planted\n", "deskbell.env, line 1: DESKBELL_ENV_FILE is read from the environment alone"),
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


def test_env_beside_the_package_is_read_unless_another_file_is_named(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the folder that `DESKBELL_APP_DIR` names, or the current one; it tells which file it was."""
    (tmp_path / ".env").write_text("DESKBELL_RECORD_MB=70\n")
    monkeypatch.setenv("DESKBELL_APP_DIR", str(tmp_path))

    assert load_settings().record_mb == 128

    monkeypatch.delenv("DESKBELL_ENV_FILE")
    settings = load_settings()
    assert (settings.record_mb, settings.env_file) == (70, tmp_path / ".env")
    assert file.exists()


def test_a_folder_named_env_is_none_and_a_file_that_cannot_be_read_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment is often called `.env`; a file that is there was meant."""
    monkeypatch.delenv("DESKBELL_ENV_FILE")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").mkdir()

    assert load_settings().env_file is None

    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match=r"a file that can be read, got '\.env': it is not UTF-8; .*/dev/null"):
        load_settings()


def test_a_file_that_anybody_may_have_put_there_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names modules that are imported: in a folder like /tmp another user's is refused, unless it is named."""
    (tmp_path / ".env").write_text("DESKBELL_RECORD_MB=70")
    monkeypatch.delenv("DESKBELL_ENV_FILE")
    monkeypatch.setenv("DESKBELL_APP_DIR", str(tmp_path))
    tmp_path.chmod(0o1777)
    assert load_settings().record_mb == 70  # one's own

    give_away(tmp_path / ".env", monkeypatch)
    sentence = r"is another user's, in a folder that everybody may write to; DESKBELL_ENV_FILE names it if it is meant"
    with pytest.raises(ConfigError, match=sentence):
        load_settings()
    monkeypatch.setenv("DESKBELL_ENV_FILE", str(tmp_path / ".env"))
    assert load_settings().record_mb == 70
    monkeypatch.delenv("DESKBELL_ENV_FILE")
    tmp_path.chmod(0o755)
    assert load_settings().record_mb == 70
