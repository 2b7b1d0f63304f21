"""The test kit: handlers called as Desk would, jobs run as a worker would, queues in memory, the whole stack.

    from deskbell.testing import api_call, perform_job, reply

    def test_order_status():
        assert reply(callbacks, api_call("order_status", OrderID="1002")).variables == {"OrderStatus": "shipped"}

    def test_record_enquiry(crm):
        assert perform_job(jobs, record_enquiry, api_call("order_status", OrderID="1002")).outcome == "done"
        assert crm.enquiries == [...]

Read in this order: `events` (what a test begins with), `replies` (one handler), `performing` (one attempt at a job),
`clock`, `memory` (queues on fakeredis, a job's whole life), `serving` (an api in a thread), `stack` (api, server and
worker); `extras` says what to install, `given` reads a test's settings. `DeskRest` is the simulator's: it stands in for
Desk's REST interface. The pytest plugin is `_deskbell_pytest.py`, a module of its own: pytest loads it in every run,
and imports nothing of Deskbell with it. The decorators return functions untouched, so that a test calls them like any
other.
"""

from deskbell.simulator.rest.server import DeskRest
from deskbell.simulator.signing import signed_query
from deskbell.testing.clock import Clock
from deskbell.testing.events import api_call, event_of, packet
from deskbell.testing.memory import Enqueued, MemoryQueue
from deskbell.testing.performing import Performed, async_perform_job, perform_job
from deskbell.testing.replies import async_reply, reply

__all__ = [
    "Clock",
    "DeskRest",
    "Enqueued",
    "MemoryQueue",
    "Performed",
    "api_call",
    "async_perform_job",
    "async_reply",
    "event_of",
    "packet",
    "perform_job",
    "reply",
    "signed_query",
]
