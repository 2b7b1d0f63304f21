"""A shop that answers its customers through Tencent Cloud Desk: what an integrator of Deskbell writes.

Read in this order: `callbacks` (the handlers), `jobs` (the job types), `fresh` (answers from caches that jobs fill),
`tracking` (an answer that comes late), `messages` (what it writes into the chat later), `orders` (the shop's database),
`crm` and `partners` (stand-ins for its CRM and its slow partners).
"""
