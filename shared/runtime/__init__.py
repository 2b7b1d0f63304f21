"""What a process needs besides its work.

Read in this order:

1. `threads`: a pool of daemon threads. `tasks`: ending tasks of the event loop.
2. `loop_lag`: the event loop's watchdog. `blocks`: its records on Redis.
3. `open_files`: the limit of open files.
"""
