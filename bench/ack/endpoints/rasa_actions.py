"""rasa-sdk's action server with RQ's enqueue in an action. The packet is a slot of the tracker."""

from typing import Any

from rasa_sdk import Action

from bench.jobs.contenders.probe import nothing
from bench.jobs.contenders.rq_jobs import queue


class Summary(Action):  # type: ignore[misc]  # not installed here
    def name(self) -> str:
        return "summary"

    def run(self, _dispatcher: Any, tracker: Any, _domain: Any) -> list[dict[str, Any]]:
        queue.enqueue(nothing, tracker.get_slot("packet"))
        return [{"event": "slot", "timestamp": None, "name": "testKey1", "value": "value1"}]
