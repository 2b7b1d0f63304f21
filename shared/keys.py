"""Where all keys on Redis begin: RQ's with `rq:`, ours with `deskbell:`, both behind a prefix, which is "" by default.

RQ reads RQ_KEY_PREFIX from the environment when it is imported, once for a process, and so does this module: `shop:rq`
makes `shop:deskbell:…`.
"""

import os
import re
from hashlib import blake2b

RQ_KEY_PREFIX = "RQ_KEY_PREFIX"
"""The environment variable."""

RQ_PREFIX = os.environ.get(RQ_KEY_PREFIX, "rq")
"""What RQ's keys begin with, as RQ has it."""

PREFIX = RQ_PREFIX.removesuffix("rq")
"""What stands before `rq:` and `deskbell:`, such as `shop:`; "" by default."""

_SHARD = re.fullmatch(r"\{deskbell-([0-9]{1,4})\}:", PREFIX)
SHARD = int(_SHARD[1]) if _SHARD else None
"""The number of the shard whose keys these are; None of any other prefix."""

HOME = 0
"""The shard of what all shards share: caches, access tokens, the order of a contact's writes, the counts of an api."""

RQ = f"{PREFIX}rq:"
DESKBELL = f"{PREFIX}deskbell:"

_LITERAL = re.compile("'(?=(?:rq|deskbell):)")


def is_prefix(text: str) -> bool:
    """Whether RQ's keys may begin so: with `rq`, or with letters, digits, `_.:-{}` and `:rq`."""
    return bool(re.fullmatch(r"(?:[A-Za-z0-9_.:{}-]+:)?rq", text))


def shard_prefix(shard: int) -> str:
    """What the keys of a shard begin with: what stands in braces is all that Redis Cluster chooses their node by."""
    return f"{{deskbell-{shard}}}:"


def rq_prefix(shard: int) -> str:
    """RQ_KEY_PREFIX of a process whose keys are a shard's."""
    return f"{shard_prefix(shard)}rq"


def shard_of(app_id: str, session_id: str, user_id: str, identity: str, shards: int) -> int:
    """The shard of an event: by its app and session, else its user, else the identity of its delivery.

    A delivery that is repeated has the same body, and so the same shard; so have all calls of a session.
    """
    text = "\0".join((app_id, *(("s", session_id) if session_id else ("u", user_id) if user_id else ("d", identity))))
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()) % shards


def prefixed(script: str) -> str:
    """A Lua script whose keys, all of them literals that begin `'rq:` or `'deskbell:`, are those of this process."""
    return _LITERAL.sub(f"'{PREFIX}", script)
