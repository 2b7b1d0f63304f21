"""Checks that the decorators of handlers and of job types have in common.

Read in this order:

1. `options`: `app=`, `when=`, names of nodes and fields.
2. `functions`: what can be declared: plain functions, methods, partials, objects that can be called.
3. `policies`: backoff, rate limit, semaphore, circuit breaker; settings may give them, too.
4. `kind`: where an input variable has its value from.
5. `personal`: which variables hold personal values.
6. `nearest`: "did you mean".
"""
