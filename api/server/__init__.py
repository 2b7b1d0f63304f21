"""The HTTP server around the app.

Read in this order:

1. `server`: uvicorn, from its start to the end of its last connection.
2. `connections`: how many there may be, and how long a request may take to arrive.
3. `arrival`: when a request's first byte arrived, from which the budget counts.
4. `answers`: what an answer holds.

`openapi` describes the callbacks in `/openapi.json`.
"""
