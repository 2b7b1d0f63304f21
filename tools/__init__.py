"""Makes the parts of the documents that are made from text and code: `make docs`.

`log_events.py` reads the log calls of the code into the tables of docs/LOGS.md; `walks.py` draws docs/walks/*.txt.
"""
