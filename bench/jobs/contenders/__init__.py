"""The workers that are compared: `contender.py` lists them, `client.py` enqueues, each `…_jobs.py` is one library's."""
