"""One event: what was asked and told, its jobs and their attempts; what `deskbell events ID` tells.

Read `timeline` (in which order it went), `routes`, then `texts`.
"""
