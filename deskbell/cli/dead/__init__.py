"""`deskbell dead`: `commands` (as typed), `actions` (find, replay, discard), `tables` (as read)."""
