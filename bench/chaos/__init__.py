"""Fault injection: whether the promises of the design hold while processes, Redis, disks and networks fail.

- `make chaos`, of callbacks: `callbacks.py` drives, `stack.py` is what breaks, `faults.py` how, `network.py` drops
  packets, `deliveries.py` judges by what `evidence.py` gathers.
- `make chaos-workers`, of jobs: `workers.py` drives, `job_types.py` is what runs, `worker_processes.py` and
  `servers.py` are what breaks, `records.py` judges.
"""
