"""What Desk sends and no page that we have lists: for `deskbell unknowns` and the console.

Read in this order: `documented` (the names of PROTOCOL §3), `seen` (the names that Redis holds), `undocumented` (those
that are not documented).
"""
