"""The operator's console: web pages that show what `doctor`, the records and the history know, and do what commands do.

They compute nothing of their own, and every action is one that a command has, too. Read in this order:

1. `app`: the application, with every page that lies in `console/pages/`.
2. `access/`: who may do what.
3. `state` (what all requests share, of each shard of a cluster), `visit` (one request: who asks, in which language),
   `rendering` (templates), `forms` (what is posted), `streams` (answers that go on). `history`, `described` and `reads`
   keep what takes long to read; `charts` draws it.
4. `texts/`: what the pages say, in English and Chinese.
5. `pages/`: a folder for each `page`. `errors`: what is shown when a page cannot be.
6. `server`: the process.

Not to be confused with Desk's own console, where the flow is drawn: `deskbell describe` writes what is entered there.
"""
