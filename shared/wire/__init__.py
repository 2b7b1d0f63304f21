"""The wire: what Tencent Cloud Desk sends and accepts (docs/reference/protocol.md).

Read in this order:

1. `protocol`: packets, envelopes, signatures, the identity of a delivery.
2. `events`: an accepted callback, as handlers and jobs see it and as it lies on Redis.
3. `commands`: one event class for each command; `forgotten`: that of an event which Deskbell itself makes.
4. `codes`: the error codes that Deskbell answers. `json_values`: lenient conversion of JSON values.
"""
