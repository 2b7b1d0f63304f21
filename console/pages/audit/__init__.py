"""The audit log: who did what, and was refused what.

Read `routes`, then `texts`.
"""
