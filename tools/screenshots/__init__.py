"""Pictures of the operator's console, with the shop of the examples behind it: `make screenshots`.

Read in this order: `shop` (a stack, its customers, the hours before and a bad night), `pages` (what is shown, and what
is done before it is), `pictures` (how a page is taken).
"""
