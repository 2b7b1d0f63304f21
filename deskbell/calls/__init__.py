"""Callbacks on record as an operator asks for them: for `deskbell events` and the console.

Read in this order: `filters` (which callbacks are meant), `moments` (times as a person types them), `masked` (a
callback without its personal values), `jobs` (the jobs of an event as RQ has them now), `following` (follows them to
their end).
"""
