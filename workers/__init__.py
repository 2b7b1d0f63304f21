"""The workers: they turn events into jobs and run them, as RQ workers do.

A job's life, a file for each step:

1. `fan_out`: an event becomes one job for each job type that wants it, when its own job is acked.
2. `worker.leases`: a worker claims a job under a lease.
3. `flow`: limits, circuit breakers and the FIFO order of a key decide whether it may start now.
4. `attempt`: one attempt, by the worker's event loop, in a thread, or in a child process (`isolation`).
5. `worker.outcomes`: a success is acked.
6. `retries`, `worker.rq_outcomes`: a failure is tried again later, or the job is a dead letter.
7. `releases`: what this worker cannot run is left for one of another release that can.
8. `dead_letters`: dead letters are found, replayed, discarded; `replay_as`: replayed under another job type.

`perform` is the entry point of jobs for a stock `rq worker`. `job` and `lease` are what is claimed; `worker.heartbeat`
renews leases and reaps those of workers that died, `declared` is what a worker says of its job types. `unawaited` runs
what a function has left to run, `causes` names what was raised, and `redis_errors` tells an outage of Redis from an
error. `audit` records what people did: here and on the command line, and in the console.
"""
