"""The command `deskbell`.

`main` has every command and its options, which it hands to a file for each command: `api`, `worker`, `dashboard`, `dev`, `demo`,
`send`, `describe` (with `variables`), and the rooms `doctor` and `dead`. `processes` runs what stays, `stack` all of it
for `dev` and `demo` with the `defaults` of both, `agreement` compares handlers with jobs. `exit` and `terminal` say how
a command ends, and that its streams may be anything.
"""
