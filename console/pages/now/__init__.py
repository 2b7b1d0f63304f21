"""The first page: what is wrong first, with what can be done about it; then answers, queues, and the last hours.

Read `routes`, then `wrong` (what is found), `pictures` (the last hours) and `texts`.
"""
