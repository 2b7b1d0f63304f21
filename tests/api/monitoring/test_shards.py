"""The metrics of several shards, told as one."""

from prometheus_client.metrics_core import GaugeMetricFamily

from api.monitoring.shards import labelled


def test_each_sample_has_the_number_of_its_shard_and_each_family_is_told_once() -> None:
    """Prometheus refuses two families of a name, and two samples of the same labels."""
    first, second = (GaugeMetricFamily("deskbell_jobs_waiting", "Jobs.", labels=["queue"]) for _ in range(2))
    first.add_metric(["crm"], 1)
    second.add_metric(["crm"], 2)

    [family] = labelled([[first], [second]])

    samples = [(sample.labels, sample.value) for sample in family.samples]
    assert (family.name, family.documentation, family.type) == ("deskbell_jobs_waiting", "Jobs.", "gauge")
    assert samples == [({"queue": "crm", "shard": "0"}, 1), ({"queue": "crm", "shard": "1"}, 2)]
