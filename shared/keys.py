"""Where all keys on Redis begin: RQ's with `rq:`, ours with `deskbell:`, both behind a prefix, which is "" by default.

RQ reads RQ_KEY_PREFIX from the environment when it is imported, once for a process, and so does this module: `shop:rq`
makes `shop:deskbell:…`.
"""

import os
import re

RQ_PREFIX = os.environ.get("RQ_KEY_PREFIX", "rq")
"""What RQ's keys begin with, as RQ has it."""

PREFIX = RQ_PREFIX.removesuffix("rq")
"""What stands before `rq:` and `deskbell:`, such as `shop:`; "" by default."""

RQ = f"{PREFIX}rq:"
DESKBELL = f"{PREFIX}deskbell:"

_LITERAL = re.compile("'(?=(?:rq|deskbell):)")


def is_prefix(text: str) -> bool:
    """Whether RQ's keys may begin so: with `rq`, or with letters, digits, `_.:-{}` and `:rq`."""
    return bool(re.fullmatch(r"(?:[A-Za-z0-9_.:{}-]+:)?rq", text))


def prefixed(script: str) -> str:
    """A Lua script whose keys, all of them literals that begin `'rq:` or `'deskbell:`, are those of this process."""
    return _LITERAL.sub(f"'{PREFIX}", script)
