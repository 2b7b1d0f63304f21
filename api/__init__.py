"""The HTTP process: it answers callbacks and keeps their events.

Read in the order in which a callback passes:

1. `app` makes the parts of the process; `server` accepts connections and parses HTTP.
2. `routes` is the pipeline of one callback, from its path to its answer, through the steps that follow.
3. `admission` decides: is it a callback, is there room for it, is it Tencent's and for one of our apps.
4. `shared.handlers` computes the reply with the integrator's handler, within the budget.
5. `acceptance` keeps the event, once, on Redis or on the disk. Then the answer goes out.

No step of that pipeline: `monitoring` reports to the operator, `metrics` counts, `errors` lists the rejections, and
`lateness` has the time-outs that allow for a blocked event loop.
"""
