"""The HTTP process: it answers callbacks and keeps their events.

Read in the order in which a callback passes: `app` (what the process is made of), `server` (connections), `routes` (one
callback in six steps), `admission` (may it come in), `acceptance` (keep the event before the answer). `monitoring` is
for the operator, `lateness` gives deadlines back the time that a blocked event loop took, `metrics` counts.
"""
