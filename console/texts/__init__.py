"""What the console says, in English and Chinese: one table, to which each page brings its own rows.

Read `table`, then `common` (the rows of the layout, of errors, and of several pages) and `names` (of outcomes, states
and actions). What is said elsewhere, too, has its English there, and its Chinese in `findings`, `servers`,
`described` and `refusals`.
"""
