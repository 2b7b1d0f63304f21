"""Dead letters for those who look at them for longer than a command runs: the operator's console.

Read in this order: `choice` (which are meant), `overview` (all of them by cause), `plan` (what an action would do),
`renamed` (as what they can be replayed), `runs` (replay and discard in the background). What finds, puts back and
deletes is `workers/dead_letters/`, as for `deskbell dead`.
"""
