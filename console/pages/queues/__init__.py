"""The queues: how each stands, why it does not move, who reads it; pause and resume.

Read `routes`, then `texts`.
"""
