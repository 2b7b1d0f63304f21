"""Flow files: conversations with the handlers, played as Desk leads them.

Read in this order: `model` (what a file may hold), `document` (YAML with the line of each value), `loader` and
`mistakes` (what is refused, and in which words), `session` (the variables that are the memory of a case),
`differences` (what is expected against what came), `desk` (the same of what jobs say to Desk), `kept` (events on
Redis), `player` (plays a case), `results` (how cases ended), `collector` (the cases as tests of pytest).
"""
