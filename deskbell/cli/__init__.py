"""The command `deskbell`, a typer app.

`main` has every command and its options, which it hands to a file for each: `api`, `worker`, `console`, `dashboard`,
`demo`, and the rooms `describe`, `new`, `dev`, `send`, `flow`, `doctor`, `top`, `events`,
`operating`, `personal_data`, `dead`, `settings` and `unknowns`.
`processes` has the processes of api and workers; `stack` starts all of Deskbell for `dev`, `demo` and `flow`, with its
`defaults`; `agreement` compares handlers with jobs. `moments` reads the times that options have, `exit` ends a command
in a sentence, and `terminal` prepares its streams. `words` puts options of all commands first, and `shards` runs a
command for each shard of a cluster.
"""
