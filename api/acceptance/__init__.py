"""Keeping an event, once, before its answer goes out.

Read in this order: `intake` (group commit), `accept` with `accept.lua` (the script, an idempotent producer), `spool`
and `spool_file` (the disk, while Redis is away), `drainer` (circuit breaker and drain), `backlog`, `lost_writes`.
"""
