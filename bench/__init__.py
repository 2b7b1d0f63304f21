"""Benchmarks and fault injection; each `make` target below runs one module.

- `bench/ack/`: callbacks acknowledged per second (`make bench-ack`), what they cost as queue, connections and bodies
  grow (`make bench-cost`), and what calls that hang cost the others (`make bench-hang`).
- `bench/jobs/`: jobs per second of one worker process beside other libraries' workers (`make bench-jobs`).
- `bench/path/`: the main path, from the callback to the end of its jobs, beside FastAPI with those libraries
  (`make bench-path`).
- `bench/records.py`: how long `deskbell events` searches among a million callbacks (`make bench-records`).
- `bench/console/`: how long each page of the operator's console takes, and what it sends (`make bench-console`).
- `bench/chaos/`: fault injection into the api (`make chaos`) and into workers (`make chaos-workers`).

Beside them: `pace.py` sends at a steady rate, `server.py` starts Redis, `proxy.py` cuts it off, `environments.py`
installs the contenders, `processes.py` ends what was started, `report.py` and `chart.py` show what was measured.
"""
