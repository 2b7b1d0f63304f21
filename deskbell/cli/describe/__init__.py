"""`deskbell describe`: what the Desk administrator enters, as a text that can be mailed.

Read in this order: `command`, then `forms` (text, Markdown, HTML). The facts are in `deskbell/describe`.
"""
