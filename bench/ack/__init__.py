"""How fast callbacks are acknowledged, and what that costs.

Read `endpoints/endpoint.py` (what is compared), `load.py` (what it is sent), then the three that measure: `rates.py`
with `outages.py`, `cost.py`, `hang.py`.
"""
