"""The job types that ship: `crm` (contacts, through `deskbell.adapters`) and `analytics` (rows).

`none` has no job type.
"""
