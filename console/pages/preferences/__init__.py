"""How somebody wants to see the console: language, colours, how often pages renew themselves. See `routes`."""
