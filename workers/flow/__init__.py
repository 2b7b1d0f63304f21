"""Flow control: which jobs may start now.

Read in this order: `limits` with `limits.lua` (sliding-window rate limit, semaphore and circuit breaker of a job type;
it stands in front of each script that claims or acks), `ordering` (partition key and position, which fan-out writes),
`turns` with `turns.lua`, `order.lua` and `wake.lua` (the FIFO lock of a key, which a job takes before its attempt).
"""
