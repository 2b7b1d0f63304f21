"""The main path: from the callback to the end of its jobs, beside FastAPI with five job queues.

Read `stack.py` (what is compared) with `job_types.py`, `sender.py` (what sends callbacks), `running.py` (a stack at
work, and its CPU), then what is measured: `drain.py`, `steps.py`, `million.py`; last `rates.py` (the run) with
`report.py` (tables and targets).
"""
