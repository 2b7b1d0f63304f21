"""The wire: what Tencent Cloud Desk sends and accepts.

Read in this order: `protocol` (packets and envelopes), `commands` (one event class for each command), `events`
(accepted callbacks as jobs and handlers see them), `codes` (the error codes of answers), `json_values`.
"""
