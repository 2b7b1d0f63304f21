"""The settings: environment variables with the prefix DESKBELL_.

Read in this order:

1. `config`: every setting, and how they must fit together; those of `console`, the operator's page, by themselves,
   and those of `retention`.
2. `redis_url`, `urls`: texts that must be more than text. `proxies`: the environment's HTTP proxies.
3. `environment`: misspelt names. `env_file`: the file of settings, `.env`.
"""
