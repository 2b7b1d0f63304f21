"""Where a command's settings come from, besides the environment and `.env`: `running` finds the `deskbell dev` here."""
