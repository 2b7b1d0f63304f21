"""Late values: what a handler computes after its answer had to go out, fetched by a second node with a ticket.

1. `policy`: `late=`, and the names of the variables.
2. `tickets`: a ticket is an event's id with a message authentication code (MAC); it is kept nowhere.
3. `values`: the values on Redis, handed out once.

`shared.handlers.late` issues and takes tickets; `shared.jobs.late` is the type of the jobs that compute the values,
which `deskbell.jobs.late` makes of handlers.
"""
