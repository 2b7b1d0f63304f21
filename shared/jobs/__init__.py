"""Job types: the integrator's functions that workers run for events.

Read in this order:

1. `jobs`: the registry, and its decorator.
2. `declaration`: what the decorator refuses.
3. `job_type`: one job type, and the events it wants.
4. `late`: the type of the jobs that compute late values.
"""
