"""`deskbell send`: post callbacks as Tencent does, also those that must be refused, and many.

Read in this order: `command` (what a person types), `message` (what that is to be sent), `inputs` (variables that were
left out), `deliveries` (one callback, in each of its kinds), `load` (many), `answers` (what is printed).
"""
