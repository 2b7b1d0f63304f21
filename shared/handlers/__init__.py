"""Handlers: the integrator's functions that compute replies.

Read in this order: `callbacks` (the decorators), `declaration` (what is refused), `handler` (one
declared function), `replies` (a handler run under a
deadline), `executor` (threads and tasks), `variables` and `reading` (a call's texts as arguments), `results` and
`returns` (what is returned as an answer), `contract` (which variables go in and come out), `text_types`.
"""
