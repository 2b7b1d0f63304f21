"""Jobs in processes of their own.

Read in this order: `children` (asks the fork server for a child, and reads its answer), `fork_server` (forks the
children), `child_errors` (serializes what a job raised in a child).
"""
