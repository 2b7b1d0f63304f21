"""The other side: Tencent Cloud Desk. Offline, and for loopback as for any URL.

Read in this order: `packets` (the documented packets, with other values where one wants them), `signing` (the query
that Desk appends), `client` (posts a callback as Desk does, and reads the answer), `rest` (what jobs say to Desk
arrives there). `deskbell/calls/following.py` follows what became of an event.

    desk = Desk("http://127.0.0.1:8000", "1400000001", "dev-token")
    answer = desk.post(packet_of("session_event", {"Event": "SessionBegin"}))
    jobs = ended_jobs(redis, answer.event_id)
"""
