"""What `/metrics` tells of an api with a handler, a queue, a worker and a job type: every series that there may be."""

import re
import time
from collections import Counter
from itertools import product
from typing import get_args

from api.acceptance.spool import Survey
from api.metrics import CallbackOutcome, Metrics
from api.monitoring.durability import Durability
from api.monitoring.held import Held
from api.monitoring.queues import OnRedis, queue_families
from api.monitoring.redis_server import server_families
from api.monitoring.spool import spool_families
from shared.redis.history import Tallies, Tally
from shared.redis.workers import WorkerRecord
from workers.attempt import LEVELS
from workers.causes import FailureKind


def rendered() -> str:
    """In Prometheus' text format: all is well, and nothing goes on."""
    record = WorkerRecord(
        name="w", host="h", pid=1, version="1", queues=("crm", "events"), job_types={}, slots=2, noted=time.time()
    )
    failures = product(("retry", "discarded", "dead"), get_args(FailureKind))
    totals: Tallies = {
        ("callback", "order"): Tally(Counter(dict.fromkeys(get_args(CallbackOutcome), 0))),
        ("job", "crm.push"): Tally(Counter(dict.fromkeys(LEVELS, 0)), causes=Counter(dict.fromkeys(failures, 0))),
        ("lease", "crm"): Tally(Counter(reaped=0, abandoned=0)),
    }
    queues = ("crm", "events")
    states = {(queue, state): 0 for queue in queues for state in ("running", "scheduled", "held", "dead")}
    on_redis = OnRedis(
        *(dict.fromkeys(queues, 0), dict.fromkeys(queues, 0.0), states, [], {"crm.push": 0}, [record], totals),
        held=Held([*queues]),
    )
    server = Durability("", persistence="always", used_bytes=1_000_000, max_bytes=1_000_000_000)
    families = [
        *queue_families(on_redis),
        *server_families(server),
        *spool_families(Survey(0, 0, None, [], 10**10), 10**9),
    ]
    return Metrics(["order"]).render(*families).decode()


def told_series() -> dict[str, float]:
    """Deskbell's series with their values, by how they are written; without when each began."""
    lines = re.findall(r"^(deskbell_\w+(?:{.*})?) (\S+)$", rendered(), re.MULTILINE)
    return {name: float(value) for name, value in lines if "_created" not in name}
