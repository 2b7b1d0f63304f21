"""`deskbell events`: what the bot told a customer, and what became of it.

Read in this order: `command` (what is asked for), `text` (how it is shown). What the console shows, too, is in
`deskbell.calls`.
"""
