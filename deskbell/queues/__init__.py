"""The queues as an operator sees them: for `deskbell doctor`, `deskbell top` and whatever else shows them.

Read in this order: `state` (one queue as it stands on Redis), `findings` (what may be said of it), `reasons` (why it
does not move: `looked` is what they are looked for in, `of_workers` and `of_jobs` have those that lie with workers and
with jobs), `together` (what is said of all of them), `now` (all of them, and what was answered and done in the last
full minute), `shards` (the same of all shards of a cluster), `refused` (which callbacks the api refused, and why),
`orphans` (jobs that are in no queue and no registry), `pausing` (pause and resume).
"""
