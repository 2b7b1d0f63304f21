"""The job types that ship: `crm` (contacts, through `contacts`) and `analytics` (rows); `once` makes their clients.

`none` has no job type.
"""
