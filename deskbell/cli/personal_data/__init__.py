"""`deskbell forget` and `deskbell export`: what is kept of one user.

Read in this order: `command` (what a person types), `actions` (what that does).
"""
