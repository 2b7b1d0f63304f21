"""Redis, as both the api and the workers use it.

Read in this order:

1. `connections`: clients, for one server, for sentinels, or for a shard of a `cluster`.
2. `pipelining`: a client whose commands share a connection.
3. `queues`: RQ's queues, and the names of our own keys. `job_data` reads a job's arguments, `scripts` Lua's texts.
4. `outages`: how the log reports that Redis is away, and which errors only a person can correct.
5. `breakers`: the queues that a circuit breaker has paused; `pauses`: those that a person has.
6. `workers`: what workers say of themselves, dated by the clock of Redis (`clock`).
7. `api_hosts`: the hosts of the api, and what waits in their spools.
8. `releases`: what workers have, and the jobs that are left for lack of it.
9. `history`: what became of callbacks and jobs, by minute.
"""
