"""What is kept of one user: found, written out, and removed.

Read in this order:

1. `jobs` with `remove.lua`: the user's jobs, in all queues and registries.
2. `kept`: answers, late values, values of caches.
3. `forget`: removes all of it, while callbacks come and jobs run.
4. `elsewhere`: what no command removes.
5. `export`: all of it as one JSON document.

Records are found and erased by `shared.records`; whose an event is, `shared.records.users` says.
"""
