"""`deskbell top`: what goes on now, as a page in the terminal that renews itself.

Read in this order: `page` (how it is shown; what is, is read by `deskbell.queues.now`), `shards` (that of all shards
of a cluster), `command`.
"""
