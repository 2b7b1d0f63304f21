"""Threads, tasks and the event loop, as each process of Deskbell needs them.

Read in this order:

1. `threads`: a pool of daemon threads. `tasks`: ending tasks of the event loop.
2. `loop_lag`: the event loop's watchdog. `blocks`: its records on Redis.
3. `open_files`: the limit of open files. `parent`: what a process and its supervisor tell each other.
"""
