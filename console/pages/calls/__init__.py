"""Callbacks on record, found and followed: what `deskbell events` lists.

Read `typed` (the filters of an address), `routes`, `follow` (new ones as they come), then `texts`.
"""
