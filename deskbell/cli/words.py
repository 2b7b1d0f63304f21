"""The words of a command line, before they are a command's: options of all commands, and a supervisor's socket."""

import signal
import socket

from shared.runtime.parent import Parent

AT_ONCE = ("console", "top")
"""The commands that show all shards of a cluster at once, where none is named; others, one after the other."""


def taken_out(words: list[str], option: str) -> tuple[list[str], list[str]]:
    """The words of an option with its value, none where it is not given; and the others of a command line."""
    at = next((at for at, word in enumerate(words) if word.partition("=")[0] == option), len(words))
    end = at + (1 if "=" in "".join(words[at : at + 1]) else 2)
    return words[at:end], [*words[:at], *words[end:]]


def common_first(words: list[str]) -> list[str]:
    """A command line, with options of all commands where they belong: people write them behind the command, too."""
    shard, others = taken_out(words, "--shard")
    env_file, others = taken_out(others, "--env-file")
    return [*env_file, *shard, *others]


def parent_of(fd: int) -> Parent | None:
    """The supervisor; None where there is none, as in tests of a single process."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # the supervisor ends us by it; a script may have had it ignored
    return None if fd < 0 else Parent(socket.socket(fileno=fd))
