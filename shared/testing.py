"""Help for the tests of integrators: events as their jobs and handlers receive them.

    from shared.testing import api_call

    def test_record_enquiry(crm):
        asyncio.run(record_enquiry(api_call("order_status", OrderID="1002", SystemClientUserID="user517")))

        assert crm.enquiries == [...]

The decorators return functions untouched, so that a test calls them like any other.
"""

import dataclasses
import time
from typing import Any

from shared.events import ApiCall, Reply, received
from shared.protocol import API_CALL, Packet


def api_call(node: str = "", /, **variables: Any) -> ApiCall:
    """An API call as a job sees it: accepted just now, answered with no variables.

    Args:
        node: the node in the URL's path.
        **variables: `Body`, as Desk sends it: mostly strings.
    """
    event = received(packet(**variables), app_id="1400000001", node=node)
    assert isinstance(event, ApiCall)
    return dataclasses.replace(event, reply=Reply(variables={}, outcome="answered"))


def packet(**variables: Any) -> Packet:
    """The body of an API call, `EventTime` the present (PROTOCOL §3.1)."""
    return {"CallbackCommand": API_CALL, "Body": variables, "EventTime": int(time.time() * 1000)}
