"""The HTTP server around the app.

Read in this order: `server` (uvicorn, begun and drained), `connections` (limit and deadlines), `openapi`.
"""
