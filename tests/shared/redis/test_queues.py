"""What a job's data look like on Redis."""

import pytest
from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer

from shared.redis.queues import COMPRESSED_BYTES, PERFORM, pack


@pytest.mark.parametrize("size", [1, 2 * COMPRESSED_BYTES])
def test_rq_reads_data_small_and_large(redis: Redis, size: int) -> None:
    """Small data are JSON as it is, larger ones a zlib stream; RQ reads both."""
    plain = JSONSerializer.dumps([PERFORM, None, ["crm.contact", {"text": "x" * size}], {}])
    data = pack(plain)

    redis.hset(Job.key_for("one"), mapping={"data": data})
    job = Job.fetch("one", connection=redis, serializer=JSONSerializer)

    assert (data == plain) == (len(plain) < COMPRESSED_BYTES)
    assert len(data) <= len(plain)
    assert job.func_name == PERFORM
    assert list(job.args) == ["crm.contact", {"text": "x" * size}]
