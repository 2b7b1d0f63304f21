"""`deskbell dev`: the whole stack in one terminal, reloading; what each callback led to is shown as one block.

Read in this order: `command` (the loop that everything comes together in), `lines` (what the processes write), `blocks`
(a callback with its jobs), `surplus` (what is only counted), `reloads` (changes of code, and how long a reload takes),
`mistakes` (where the integrator's code is wrong), `screen` (what is printed), `declared` (a process of its own: the
integrator's nodes).
"""
