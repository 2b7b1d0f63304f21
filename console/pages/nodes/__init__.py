"""The nodes: what each handler declares, what to enter in Desk's console, and how calls depart from it.

Read `routes`, then `rows` (handlers with what was counted of them) and `texts`.
"""
