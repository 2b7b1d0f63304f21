"""`--shard` and `--shards`: a command on one shard of a Redis cluster, or on several, one after the other.

RQ reads what its keys begin with as it is imported, so a command runs anew for each shard, in a process of its own. A
command that shows all shards at once has one process, whose connections put keys of each shard in the place of its own.
"""

import os
import re
import subprocess
import sys

from deskbell.cli.words import AT_ONCE, taken_out
from shared.errors import ConfigError
from shared.keys import HOME, RQ_KEY_PREFIX, SHARD, rq_prefix
from shared.settings.config import Settings, load_settings

_ALL = (["--shard", "all"], ["--shard=all"])
_ENDLESS = ("api", "console", "dashboard", "demo", "dev", "record", "top", "worker")


def chosen_shards(text: str, settings: Settings, option: str = "--shards") -> list[int]:
    """The shards that a text such as `0-7,12` names; of none this process' own, or else all.

    Raises:
        ConfigError: there are no such shards.
    """
    count = settings.shards
    if not count:
        if text:
            raise ConfigError(f"{option}: expected DESKBELL_REDIS_URL to be redis+cluster://…, which alone has shards")
        return []
    if not text or text == "all":
        return [SHARD] if SHARD is not None and not text else list(range(count))
    found: set[int] = set()
    for part in text.split(","):
        ends = re.fullmatch(r"(?P<first>[0-9]{1,4})(?:-(?P<last>[0-9]{1,4}))?", part)
        first, last = (int(ends["first"]), int(ends["last"] or ends["first"])) if ends else (1, 0)
        if not first <= last < count:
            raise ConfigError(f"{option}: expected numbers from 0 to {count - 1}, such as 0-7,12, or all, got {text!r}")
        found.update(range(first, last + 1))
    return sorted(found)


def is_of_all_shards() -> bool:
    """Whether this process is to work on all shards at once."""
    return SHARD == HOME and taken_out(sys.argv[1:], "--shard")[0] in _ALL


def run_on_shards(text: str, command: str, words: list[str]) -> None:
    """Run a command, given by its words, on shards, and end with the worst of their statuses.

    It goes on in this process where that is to work on all shards at once, or where there are none and none is named.

    Args:
        text: the shards; "" where none is named.
        command: the first of the words that is no option.
        words: without those of `--shard`.

    Raises:
        ConfigError: there are no such shards, or the command would run on the first for ever.
    """
    environment = dict(os.environ)  # without what DESKBELL_ENV_FILE adds: the command reads that file itself
    if command in AT_ONCE and text in ("", "all"):
        _run_at_once(text, words, environment)
        return
    shards = chosen_shards(text, load_settings(), "--shard")
    started = [sys.executable, "-P", "-m", "deskbell", *words]
    if len(shards) == 1:
        os.execve(sys.executable, started, environment | {RQ_KEY_PREFIX: rq_prefix(shards[0])})  # noqa: S606 - our own
    if command in _ENDLESS or "--follow" in words:
        expected = "one shard, or all" if command in AT_ONCE else "one shard"
        raise ConfigError(f"--shard: {command} runs until it is told to end: expected {expected}, got {text!r}")
    status = 0
    heads = sys.stderr if "--json" in words or command == "export" else sys.stdout
    for shard in shards:
        print(f"shard {shard}:", file=heads, flush=True)
        ended = subprocess.run(started, env=environment | {RQ_KEY_PREFIX: rq_prefix(shard)}, check=False)  # noqa: S603
        status = max(status, abs(ended.returncode))
    sys.exit(status)


def _run_at_once(text: str, words: list[str], environment: dict[str, str]) -> None:
    """Start anew with the keys of the first shard, unless that has been done, or there are no shards."""
    is_one = SHARD is not None and not text
    if is_one or is_of_all_shards() or "--help" in words:
        return
    if chosen_shards(text, load_settings(), "--shard"):
        started = [sys.executable, "-P", "-m", "deskbell", "--shard", "all", *words]
        os.execve(sys.executable, started, environment | {RQ_KEY_PREFIX: rq_prefix(HOME)})  # noqa: S606 - our own
