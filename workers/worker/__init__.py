"""One worker process that performs many jobs at once.

Read in this order:

1. `worker`: the loop that claims, runs and acks.
2. `polling`: when which queue is asked, and how an idle worker learns that a job has come.
3. `leases` and its scripts: claim, renew, ack, release, reap.
4. `call`: which function a job calls. `execution`: runs it.
5. `outcomes` and `rq_outcomes`: write whether it succeeded.

`registration` is the worker as RQ knows it. Beside the loop run `heartbeat` (renews the leases, reaps those of dead
workers), `maintenance` (RQ's scheduler and registries), `rq_commands` (RQ's pub/sub channel) and `watchdog` (jobs that
block the event loop); `background` runs a step at intervals. `shutdown` ends all of it.
"""
