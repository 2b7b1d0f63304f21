"""Benchmarks and fault injection; each `make` target below runs one module.

- `bench/ack/`: callbacks acknowledged per second (`make bench-ack`), what they cost as queue, connections and bodies
  grow (`make bench-cost`), and what calls that hang cost the others (`make bench-hang`).
- `bench/jobs/`: jobs per second of one worker process beside other libraries' workers (`make bench-jobs`).
- `bench/chaos/`: fault injection into the api (`make chaos`) and into workers (`make chaos-workers`).

Beside them: `pace.py` sends at a steady rate, `proxy.py` cuts Redis off, `environments.py` installs the contenders,
`processes.py` ends what was started, `report.py` and `chart.py` show what was measured.
"""
