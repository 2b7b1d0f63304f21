"""A stand-in for Desk's REST interface (PROTOCOL §5): what jobs say to Desk arrives here.

Read in this order: `received` (what has come), `signed` (UserSig), `commands` (the six commands, on sessions that are
kept here), `faults` (answers when something is wrong), `server` (HTTP), `reading` (reads it from another process).
"""
