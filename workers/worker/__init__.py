"""One worker process that performs many jobs at once.

Read in this order: `worker` (claim, run, ack), `leases` and its scripts, `call` (what a job calls), `execution` (runs
it), `outcomes` and `rq_outcomes` (what comes of it). Beside that: `heartbeat` (renews and reaps, unless `reap_guard`
forbids it), `maintenance` (RQ's), `background` (steps at intervals), `rq_commands` (heard on RQ's channel), `wakeup` (a
job has come), `polling_order` (which queue first), `watchdog` (a job that blocks the loop), `shutdown`.
"""
