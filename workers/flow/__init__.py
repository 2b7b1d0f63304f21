"""Flow control: which jobs may start now.

Read in this order:

1. `limits` with `limits.lua`: sliding-window rate limit, semaphore and circuit breaker of a job type. The script is put
   in front of each script that claims or acks.
2. `ordering`: the partition key of a job and its position, which fan-out writes.
3. `fifo_lock` with `fifo_lock.lua`, `order.lua` and `wake.lua`: the FIFO lock of a key, which a job takes before its
   attempt.
"""
