"""`deskbell events`: what the bot told a customer, and what became of it.

Read in this order: `command` (what is asked for), `jobs` (an event's jobs as RQ has them), `text` (how it is shown).
"""
