"""The pages: a folder for each, with its handlers (`routes`, which has a `PAGE`), its texts, its templates.

A new folder is found by itself. `now` is the first page; `sign_in` and `preferences` are not in the navigation.
"""
