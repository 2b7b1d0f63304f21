"""`--shard` and `--shards`: which shards a person means."""

import pytest

from deskbell.cli.shards import chosen_shards, run_on_shards
from deskbell.cli.words import common_first
from shared.errors import ConfigError
from tests.conftest import SettingsFactory

URL = "redis+cluster://127.0.0.1:1?shards=16"


@pytest.mark.parametrize(
    ("text", "shards"), [("", list(range(16))), ("all", list(range(16))), ("3", [3]), ("0-2,15,1", [0, 1, 2, 15])]
)
def test_shards_are_named_by_numbers_and_ranges(text: str, shards: list[int], make_settings: SettingsFactory) -> None:
    """All of them where none is named."""
    assert chosen_shards(text, make_settings(redis_url=URL)) == shards


@pytest.mark.parametrize("text", ["16", "0-16", "3-1", "-1", "one", "1,", "1;2"])
def test_shards_that_there_are_not_are_refused(text: str, make_settings: SettingsFactory) -> None:
    """The sentence says which there are."""
    with pytest.raises(ConfigError, match="expected numbers from 0 to 15, such as 0-7,12, or all, got"):
        chosen_shards(text, make_settings(redis_url=URL))


def test_one_redis_has_no_shards(make_settings: SettingsFactory) -> None:
    """Where none is named it is taken as it is."""
    settings = make_settings(redis_url="redis://127.0.0.1:1")

    assert chosen_shards("", settings) == []
    with pytest.raises(ConfigError, match=r"--shards: expected DESKBELL_REDIS_URL to be redis\+cluster://"):
        chosen_shards("all", settings)


@pytest.mark.parametrize(
    ("text", "command", "words", "expected"),
    [
        ("0-3", "console", ["console"], "one shard, or all, got '0-3'"),
        ("all", "events", ["events", "--follow"], "one shard, got 'all'"),
    ],
)
def test_what_runs_until_it_is_ended_takes_one_shard(
    text: str, command: str, words: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would never come to the second; the console shows all at once."""
    monkeypatch.setenv("DESKBELL_REDIS_URL", URL)

    with pytest.raises(ConfigError, match=f"{command} runs until it is told to end: expected {expected}"):
        run_on_shards(text, command, words)


@pytest.mark.parametrize(
    "words",
    [
        ["doctor", "--shard", "3", "--env-file", "e", "--json"],
        ["doctor", "--env-file", "e", "--json", "--shard", "3"],
    ],
)
def test_options_of_all_commands_may_stand_behind_the_command(words: list[str]) -> None:
    """As people write them."""
    assert common_first(words) == ["--env-file", "e", "--shard", "3", "doctor", "--json"]
