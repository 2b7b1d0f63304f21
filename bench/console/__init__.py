"""How long the operator's console takes for each page, and what it sends, with much on Redis.

Read in this order: `app` (handlers and job types), `content` (what lies on Redis), `serving` (a console's process),
`pages` (what is asked for), `times` (the command).
"""
