"""What both sides need: the integrator's declarations, the wire, settings, Redis, logs. Nothing here is public.

Read in this order: `wire` (packets, commands, events), `handlers` (from a call to a reply), `jobs` (job types), with
`declarations` (what both check), then `settings`, `redis`, `runtime` and `logs`; `loading` finds the integrator's code.
"""
