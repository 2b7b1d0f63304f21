"""Handlers: the integrator's functions that compute replies.

A function is declared once:

1. `callbacks`: the registry, its decorators, and which handler answers an event.
2. `declaration`: how the function becomes a handler, and what is refused.
3. `handler`: one handler, and the commands whose reply Desk uses.

It is run for each callback:

4. `replies`: from an event to its reply, a fallback or an error code, under a deadline.
5. `variables`: a call's variables become arguments; `reading` has the conversions.
6. `executor`: runs the function on the event loop (`steps`) or in a thread.
7. `results`: what the function returned becomes the reply.

With `late=`: `late` (tickets, and the values for them), `asking` (the handler of the second node).

Beside that: `contract` (declared outputs, and how a result departs from them), `returns` (which types can be answered),
`text_types` (which types can be read from text).
"""
