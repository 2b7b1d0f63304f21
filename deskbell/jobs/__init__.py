"""The job types that ship: `crm`, `salesforce` and `wecom` (through `deskbell.adapters`), and `analytics` (rows).

`late` makes job types of handlers with `late=`; `none` has no job type.
"""
