"""Makes the parts of the documents that are made from text and code: `make docs`.

`reference.py` writes pages of docs/reference from settings, commands and docstrings; `log_events.py` reads log calls
into the tables of docs/reference/logs.md; `walks.py` draws docs/walks/*.txt.

`screenshots` takes the pictures of docs/images: `make screenshots`.

`release` makes a release: `make version`, `make release`.
"""
