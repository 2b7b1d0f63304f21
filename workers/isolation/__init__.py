"""Jobs in processes of their own.

Read in this order: `children` (asks for one), `fork_server` (forks it), `child_errors` (what it raised).
"""
