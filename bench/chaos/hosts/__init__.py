"""`make chaos-hosts`: several hosts on one machine, partitions between them, and hosts that are lost.

`run.py` drives, `faults.py` says what is cut off and what is lost, `stack.py` is what runs on which host, `network.py`
makes hosts of network namespaces.
"""
