"""The endpoints that are compared: `endpoint.py` lists them, each of the other modules is one."""
