"""The supervisor, and one process of each role.

Read in this order: `supervisor` (starts and replaces), `api_process` and `worker_process` (one process of a role),
`waiting` (for Redis), `listening`, `signals`.
`metrics_port` tells Prometheus what the processes of a worker count.
"""
