"""Job types: the integrator's functions that workers run for events.

Read in this order: `jobs` (the decorator and the registry), `job_type` (one of them), `declaration` (what is refused).
"""
