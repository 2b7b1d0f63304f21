"""What the console says, in English and Chinese: one table, to which each page brings its own rows.

Read `table`, then `common` (the rows of the layout, of errors, and of several pages). What the commands say, too, has
its English in them, and its Chinese in `findings` and `described`.
"""
