"""nginx and Caddy as deploy/ configures them, in front of `deskbell api`, with TLS: `behind` starts all of it."""
