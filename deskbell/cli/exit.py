"""How a command ends when it cannot go on: one sentence on standard error, and an exit status."""

import sys
from typing import NoReturn

WRONG_SETTING = 2


def stop(sentence: str, status: int = WRONG_SETTING) -> NoReturn:
    """End the process with a sentence."""
    print(f"deskbell: {sentence}", file=sys.stderr)  # noqa: T201 - what a command line is for
    sys.exit(status)
