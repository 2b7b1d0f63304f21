"""Workers of different releases beside one another, as during every deploy.

Read in this order: `leaving` (a job that this worker cannot run is left for one that can), `declarations` with
`declare.lua` and `recall.lua` (what living workers have; left jobs are recalled; events go to the newest release).
"""
