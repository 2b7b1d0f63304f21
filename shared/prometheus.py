"""What the metrics of api and workers have in common: several processes that are told as one, each family once.

With several processes each writes its values to files in a shared folder; the process that is asked adds them up.
"""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from shared.version import commit, version

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder where the processes of one role share their values."""

_LIVING = "gauge_livemax_"  # the prefix of a file that exists while its process lives


class Once(Collector):
    """Each family of metrics once: of those with the same name the first that has a value, or else the last."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        found: dict[str, Metric] = {}
        for family in self._families:
            if not (family.name in found and found[family.name].samples):
                found[family.name] = family
        yield from found.values()


def make_shared_folder() -> None:
    """Make the folder anew that the processes share, if they do: a cleaner of temporary folders may have deleted it."""
    if MULTIPROCESS in os.environ:
        Path(os.environ[MULTIPROCESS]).mkdir(exist_ok=True)


def shared_families(folder: str | None = None) -> Iterable[Metric]:
    """What the processes share, added up.

    Raises:
        OSError, ValueError: the files are gone or damaged.
    """
    found: Iterable[Metric] = MultiProcessCollector(None, folder).collect()  # type: ignore[no-untyped-call]
    return found


def build_info(name: str = "deskbell_build_info") -> Metric:
    """Which Deskbell it is."""
    info = GaugeMetricFamily(name, "Which Deskbell this is; always 1.", labels=["version", "commit"])
    info.add_metric([version(), commit()], 1)
    return info


def processes(folder: Path) -> Iterator[Metric]:
    """The usual metrics of a process, for each living one, by its `pid`."""
    found: dict[str, Metric] = {}
    for pid in sorted(path.stem.removeprefix(_LIVING) for path in folder.glob(f"{_LIVING}*.db")):
        for family in ProcessCollector(pid=partial(str, pid), registry=None).collect():
            whole = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                whole.add_sample(sample.name, {"pid": pid}, sample.value)
    return iter(found.values())
