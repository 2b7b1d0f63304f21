"""The job types that ship: `crm`, `hubspot`, `salesforce`, `wecom` (through `deskbell.adapters`), `analytics` (rows).

`late` makes job types of handlers with `late=`; `none` has no job type.
"""
