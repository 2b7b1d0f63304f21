"""What is checked where handlers and job types are declared.

Read in this order: `options` (the options of a decorator), `functions` (the function itself), `policies` (how a job
type waits and is limited), `nearest` (what a misspelt name may have meant).
"""
