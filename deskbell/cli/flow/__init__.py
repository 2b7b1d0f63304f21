"""`deskbell flow` plays flow files, and `deskbell record` makes them.

Read in this order: `command` (their options), `playing`, `files` (which are meant), `stage` (the api and the Redis that
they are played against), `transcript` (for people), `junit` (for CI); then `recording` and its `placeholders`.
"""
