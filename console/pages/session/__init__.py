"""The callbacks of a session in their order: what `deskbell events --session` lists.

Read `routes`, then `texts`.
"""
