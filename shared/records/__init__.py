"""Records: what is known of each callback and its jobs, kept on Redis for some days, and found in milliseconds.

Read in this order:

1. `packing`: what is recorded, with personal values masked.
2. `record.lua`: how records are written, and where they can be found: segments and their index, like those of a log.
   `script` gives it to those who write: `attempts` writes those of jobs, `accept.lua` of the api those of callbacks.
3. `segments`: how they are read there, by the index or by walking back.
4. `query`: what the records of a callback and its event say, found by user, session or event, or by a filter.
5. `users`: whose an event is, and who was forgotten. `erasure` with `erasure.lua`: takes a user's records out.
6. `masking`: an event, and the text of a failure, as an operator may see it.
"""
