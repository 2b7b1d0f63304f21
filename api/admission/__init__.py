"""Who may come in, and how many at once.

Read in this order:

1. `paths`: is it a callback, and for which node.
2. `concurrency`: is there room for it (load shedding).
3. `authentication`: the app, the Sign and the path secret.
4. `rejections`: what was not let in, counted and logged.

`token_usage` records when each token was last used.
"""
