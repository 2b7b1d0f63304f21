"""Who may do what on the console.

Read in this order:

1. `roles`: viewer, operator, admin, and the users that have them.
2. `passwords`: how a password is hashed and checked. `throttle`: how often one may be tried.
   `refusals`: how those who may not are recorded.
3. `sessions`: the signed cookie of somebody who has signed in, and which were ended before their time.
4. `same_origin`: a state is changed only by the console's own pages. `headers`: what every answer tells the browser.
   `cookies`: the console's own alone. `prefix`: addresses behind a proxy.

`Requires` of `console/visit.py` is the dependency of each handler that says who may use it.
"""
