"""Authentication and admission control: which callbacks are accepted, and how many at once.

Read in this order:

1. `paths`: is the request a callback, and for which node?
2. `concurrency`: are too many in flight (load shedding)?
3. `authentication`: the app, the Sign and the path secret.
4. `rejections`: counts and logs the callbacks that were rejected.

`token_usage` records when each token was last used.
"""
