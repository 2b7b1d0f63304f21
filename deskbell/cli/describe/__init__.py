"""`deskbell describe`: what the Desk administrator enters, as a text that can be mailed.

Read in this order: `command`, `handlers` and `subscriptions` (the facts), `console` (where each is entered), `document`
(the facts in words), `forms` (text, Markdown, HTML).
"""
