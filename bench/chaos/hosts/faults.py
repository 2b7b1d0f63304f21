"""The faults of `make chaos-hosts`: who is cut off from whom, and which hosts are lost.

A host of Redis goes by what it is when the fault begins: the master, or one of its replicas. A lost host is cut off and
all that ran on it is killed; it starts again with its disk when the fault is over.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations, product

from bench.chaos.hosts.network import Pair
from bench.chaos.hosts.stack import APIS, HOSTS, PROXY, SERVERS, WORKERS, Hosts

MASTER, REPLICAS = "master", ("replica1", "replica2")
_ROLES = (PROXY, *APIS, *WORKERS, MASTER, *REPLICAS)
_BETWEEN_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault.

    Attributes:
        title: as the table has it.
        pairs: hosts between which nothing passes.
        ways: hosts from the first of which nothing passes to the second, though the other way it does.
        group: hosts that are cut off from all others together.
        lost: hosts that are lost; after a while, if others are cut off as well.
        waits: whether an answer waits for a replica (`DESKBELL_MIN_REPLICAS`), as it should; if not, what an old master
            acknowledges is lost, and nothing else is promised than that it is told.
        clocks_apart: whether the hosts' clocks are up to a minute apart.
    """

    title: str
    pairs: tuple[Pair, ...] = ()
    ways: tuple[Pair, ...] = ()
    group: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    waits: bool = True
    clocks_apart: bool = False

    @contextmanager
    def injected(self, hosts: Hosts) -> Iterator[None]:
        """Begin it when entered, end it when left."""
        lost = [_host_of(role, hosts) for role in self.lost]
        ways = [(_host_of(one, hosts), _host_of(other, hosts)) for one, other in (*_both(self.pairs), *self.ways)]
        ways += _both(hosts.apart(*(_host_of(role, hosts) for role in self.group))) if self.group else []
        with hosts.network.cut(ways):
            if lost:
                time.sleep(_BETWEEN_SECONDS if ways else 0)
                with hosts.network.cut(_both(hosts.apart(*lost))):
                    for host in lost:
                        hosts.kill_host(host)
                    yield
            else:
                yield
        for host in lost:
            hosts.start_host(host)


def _both(pairs: Iterable[Pair]) -> list[Pair]:
    return [way for one, other in pairs for way in ((one, other), (other, one))]


def _host_of(role: str, hosts: Hosts) -> str:
    if role in HOSTS:
        return role
    master = hosts.master
    return dict(zip((MASTER, *REPLICAS), (master, *(each for each in SERVERS if each != master)), strict=True))[role]


_PAIRS = tuple(combinations(_ROLES, 2))
_TALKING = {
    *product([PROXY], APIS),
    *product([*APIS, *WORKERS], [MASTER, *REPLICAS]),
    *combinations([MASTER, *REPLICAS], 2),
}
_SILENT = tuple(pair for pair in _PAIRS if pair not in _TALKING)
_ONE_OF_EACH = ((PROXY, "api1"), ("api1", MASTER), ("worker1", MASTER), (MASTER, "replica1"))
_FROM_MASTER = tuple((MASTER, role) for role in _ROLES if role != MASTER)

FAULTS = [
    Fault("none"),
    *(Fault(f"{pair[0]} | {pair[1]}", pairs=(pair,)) for pair in _PAIRS if pair in _TALKING),
    Fault(f"the {len(_SILENT)} pairs that say nothing to each other, at once", pairs=_SILENT),
    *(Fault(f"{one} to {other}, one way", ways=((one, other),)) for one, other in _both(_ONE_OF_EACH)),
    Fault("master to the others, one way", ways=_FROM_MASTER),
    Fault("the others to master, one way", ways=tuple((other, master) for master, other in _FROM_MASTER)),
    *(Fault(f"{role} alone", group=(role,)) for role in _ROLES),
    *(Fault(f"{role} lost", lost=(role,)) for role in _ROLES),
    Fault("master and api1 | the others", group=(MASTER, "api1")),
    Fault("master, api1, api2 and proxy | the others", group=(MASTER, *APIS, PROXY)),
    Fault("master, api1 and worker1 | the others", group=(MASTER, "api1", "worker1")),
    Fault("master, replica1 and api1 | the others", group=(MASTER, "replica1", "api1")),
    Fault("replica2 | master, then master lost", pairs=((MASTER, "replica2"),), lost=(MASTER,)),
    Fault("replica1 | master, then master lost", pairs=((MASTER, "replica1"),), lost=(MASTER,)),
    Fault("clocks apart", clocks_apart=True),
    Fault("clocks apart, master lost", lost=(MASTER,), clocks_apart=True),
    Fault("clocks apart, master lost again", lost=(MASTER,), clocks_apart=True),
    Fault("clocks apart, master and api1 | the others", group=(MASTER, "api1"), clocks_apart=True),
    Fault("no replica waited for: master and api1 | the others", group=(MASTER, "api1"), waits=False),
]
