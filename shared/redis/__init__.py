"""Redis as both sides use it: `connections`, `queues` (keys, RQ's queues), `outages`, `breakers` (paused queues)."""
