"""Keeping an event, once, before its answer goes out.

Read in this order:

1. `deliveries`: of the requests of one delivery that are under way, one is computed (single flight).
2. `sharding` and `intake`: each shard of Redis has an intake, where events are sent in batches (group commit).
3. `accept` and `accept.lua`: the script on Redis, called as an idempotent producer.
4. `breaker`, `spool` and `spool_file`: while Redis takes no events, they go to this disk (circuit breaker, outbox).
5. `drainer`: sends them to Redis in order when it is back; `forgotten` says which are dropped instead.

`lost_writes` detects that Redis lacks what it acknowledged, `backlog` reads what waits on the disk of this host.
"""
