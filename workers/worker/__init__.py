"""One worker process that performs many jobs at once.

Read in this order: `worker` (claim, run, ack), `leases` and the scripts, `call` (what a job calls), `execution` (runs
it), `outcomes` and `rq_outcomes` (what comes of it), `heartbeat`, `maintenance`, `wakeup`, `shutdown`, `watchdog`.
"""
