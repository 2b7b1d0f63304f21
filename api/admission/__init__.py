"""Who may come in, and how many at once.

Read in this order: `paths` (is it a callback), `concurrency` (load shedding), `authentication` (app, Sign, secret),
`rejections` (counted and logged), `token_usage` (when each token was last used).
"""
