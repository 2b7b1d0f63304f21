"""What adapters of CRMs are made of; the job types that ship, in `deskbell.jobs`, and those of integrators use it.

Read in this order: `outcomes` (the table by which an adapter declares what each reply means for its job), `contacts`
(an older event never overwrites a newer one), `tokens` (an access token for all workers), `once` (makes a process'
clients), `needs` (what job types that ship need of the settings).
"""
