"""All shards of a cluster, of which the other pages show one at a time: what is wrong on any, and a row for each.

Read `together` (what is read of each), `routes`, then `texts`.
"""
