"""Monitoring: what the operator and the integrator can see of a running api.

`health` is the report of `/readyz`; it includes `durability`, what an acknowledgement is worth. `queues`,
`redis_server` and `spool` read what `/metrics` says of Redis and of the disk, `held` and `hosts` what it says of jobs
that are held back and of all hosts. `presence` tells Redis that this host's api is there. `shards` has all of it for
each shard of Redis. `drift` logs how calls and results depart from what handlers declare.
"""
