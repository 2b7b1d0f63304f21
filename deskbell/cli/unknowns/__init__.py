"""`deskbell unknowns`: what Desk sends and no page that we have lists; the pages are cut off, users are the source.

Read in this order: `documented` (the names of PROTOCOL §3), `seen` (the names that Redis holds), `report` (those that
are not documented, for a person or a program).
"""
