"""`deskbell top`: what goes on now, as a page in the terminal that renews itself.

Read in this order: `now` (what is read from Redis), `page` (how it is shown), `command`.
"""
