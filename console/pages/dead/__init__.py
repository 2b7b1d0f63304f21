"""Dead letters: by cause, one group, one letter; what an action would do, and actions in the background.

Read `asked` (which are meant), `routes`, then `actions` (what is posted), `texts`.
"""
