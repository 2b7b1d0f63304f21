"""What both the api and the workers need. Nothing here is public: integrators import from `deskbell`.

Read in this order, which is that of a callback's data:

1. `wire`: what Tencent sends and accepts, and events, which are accepted callbacks.
2. `handlers`: from an event to its reply. `jobs`: the functions that run afterwards. Both use `declarations`, the
   checks that their decorators have in common, and `late`, values that come after the answer.
3. `settings`, from the environment. `redis`: connections, queues and keys. `records`: each callback and its jobs, for
   some days.
4. `logs`, `traces`, and `runtime`: threads, tasks and the event loop's watchdog.

`lifespans` opens and closes what handlers or jobs share.

`drift` says how a call departs from what its handler declares.

A room imports only from rooms that stand below it in `pyproject.toml` (import-linter). `loading` stands above all: it
imports the integrator's modules.

`errors` draws the tree of errors; `own_packages` keeps the integrator's packages and ours apart; `frames` and `raised`
tell what an integrator's code raised, and where, `redaction` what of it may be shown, `version` which Deskbell this is;
`prometheus` adds up what several processes count; `keys` is what all keys on Redis begin with; `sentences` are what
the console can say in another language.
"""
