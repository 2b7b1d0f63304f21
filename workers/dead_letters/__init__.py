"""Jobs that failed for good.

Read in this order: `registry` (find and select), `tracebacks` (why), `details` (all about one), `replay` (put
back or delete), `audit` (who did it).
"""
