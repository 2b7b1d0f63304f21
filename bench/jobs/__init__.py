"""How fast workers run jobs, beside those of RQ, Celery, dramatiq, arq and taskiq.

Read `contenders/contender.py` (what is compared), `testbed.py` (the server, a worker, a client), `rates.py` (the
rounds), then `backlog.py` and `targets.py` (what only Deskbell's worker is asked for).
"""
