"""What the operator and the integrator are told.

`health` is the report of `/readyz`; it includes `durability`, what an acknowledgement is worth. `drift` logs how calls
and results depart from what handlers declare; `unhandled` writes the handler to paste for a call that none takes.
"""
