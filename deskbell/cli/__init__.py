"""The command `deskbell`: `main` has the options, and there is a file for each command; `processes` runs the roles."""
