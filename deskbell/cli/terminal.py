"""What surrounds a command: its streams, its words and the disk may be anything, and none of it ends in a traceback."""

import io
import os
import sys
from contextlib import suppress

from deskbell.cli.exit import stop


def prepare() -> None:
    """Let every character be written, escaped where the encoding lacks it, and read words as the text they are."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: the next file or connection would get its number
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.argv[1:] = map(_text, sys.argv[1:])


def flush() -> None:
    """Write what waits, so that what cannot be written is noticed now; a job may have closed the stream."""
    if not getattr(sys.stdout, "closed", True):
        sys.stdout.flush()


def drop_output() -> None:
    """Let what cannot be written go nowhere: Python would try once more as it ends."""
    with suppress(ValueError, AttributeError):  # closed, or replaced by what is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _text(word: str) -> str:
    """A word whose bytes are none of the locale's encoding is UTF-8, as terminals send it also where LC_ALL is C."""
    try:
        word.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(word).decode()
        except UnicodeDecodeError:
            stop(f"expected text in UTF-8, got {word!r}")
    return word
