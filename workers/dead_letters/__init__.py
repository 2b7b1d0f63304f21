"""Dead letters: jobs that failed for good, which RQ keeps in the FailedJobRegistry of each queue.

Read in this order: `tracebacks` (the text that a worker keeps with a failure), `registry` (find, select, group),
`details` (all about one), `replay` with `replay.lua` and `delete.lua` (put back or delete, once),
`retention` (delete what is old). The cause of a failure is made in `workers/causes.py`, and `workers/audit.py` records
who did what.
"""
