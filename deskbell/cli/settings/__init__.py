"""Where a command's settings come from, and what they name.

`running` finds the `deskbell dev` that runs here; `redis_here` is the Redis of a command; `check` imports the handlers
and job types that the settings name.
"""
