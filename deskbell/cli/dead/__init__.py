"""`deskbell dead`: find dead letters, replay or discard them.

Read in this order: `commands` (what a person types), `actions` (what that does), `tables` (what is printed).
"""
