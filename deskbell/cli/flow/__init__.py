"""`deskbell flow`: play flow files.

Read in this order: `command` (its options), `playing`, `files` (which are meant), `stage` (the api and the Redis that
they are played against), `transcript` (for people), `junit` (for CI).
"""
