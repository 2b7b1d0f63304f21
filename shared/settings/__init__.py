"""The settings: environment variables with the prefix DESKBELL_.

Read in this order: `config` (the settings), `redis_url`, `urls` and `proxies` (values that need more than a type),
`environment` and `env_file` (where they come from).
"""
