"""A shop that answers its customers through Tencent Cloud Desk: what an integrator of Deskbell writes.

Read in this order: `callbacks` (the handlers), `jobs` (the job types), `orders` (the shop's database), `crm` (a
stand-in for its CRM).
"""
