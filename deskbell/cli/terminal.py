"""The streams and arguments of a command: an odd encoding, a closed stream or a full disk ends in no traceback."""

import io
import os
import sys
from contextlib import suppress

from deskbell.cli.exit import stop


def prepare() -> None:
    """Let every character be written, escaped if the encoding lacks it, and read arguments as UTF-8 in any locale."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: the next file or connection would get its number
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.argv[1:] = map(_text, sys.argv[1:])


def flush() -> None:
    """Flush standard output, so that an error is noticed now; a job may have closed the stream."""
    if not getattr(sys.stdout, "closed", True):
        sys.stdout.flush()


def drop_output() -> None:
    """Send standard output to the null device: Python would try to flush it once more as it ends."""
    with suppress(ValueError, AttributeError):  # closed, or replaced by what is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _text(word: str) -> str:
    """Decode an argument as UTF-8 if it does not fit the locale: terminals send UTF-8 also when LC_ALL is C."""
    try:
        word.encode()
    except UnicodeEncodeError:
        try:
            return os.fsencode(word).decode()
        except UnicodeDecodeError:
            stop(f"expected text in UTF-8, got {word!r}")
    return word
