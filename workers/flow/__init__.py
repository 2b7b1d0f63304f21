"""What may start now.

Read in this order: `limits` (rate limit, semaphore, circuit breaker), `ordering` (partition key), `turns` (FIFO lock).
"""
