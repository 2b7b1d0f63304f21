"""`deskbell unknowns`: what Desk sends and no page that we have lists; the pages are cut off, users are the source.

`report` prints it for a person or a program.
"""
