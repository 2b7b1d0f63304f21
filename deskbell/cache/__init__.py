"""A cache on Redis that handlers read and jobs keep warm: `from deskbell.cache import Cache`.

Read in this order: `cache` (what is kept, and under which key), `put.lua` (its bounds), `drop.lua`, `store` (which
Redis, and what happens while it is away).
"""

from deskbell.cache.cache import MOST_BYTES, Cache, Cached

__all__ = ["MOST_BYTES", "Cache", "Cached"]
