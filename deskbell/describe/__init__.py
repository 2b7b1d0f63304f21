"""What the Desk administrator enters, and how what Desk sends departs from it: for `deskbell describe` and the console.

Read in this order: `loaded` (the handlers and job types that settings name), `variables` (a node's, in words),
`handlers` and `subscriptions` (the facts), `console` (where in Desk's console each is entered), `document` (the facts
in words), `drift` (what the records tell of the calls).
"""
