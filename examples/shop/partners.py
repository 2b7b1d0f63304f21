"""The shop's partners, whose answers take seconds; stand-ins that answer at once, but for `track`."""

import time

_DAYS = {"Shenzhen": 1, "Beijing": 3}
_PLACES = {"SF Express": "delivered", "YTO Express": "Guangzhou"}
_POINTS = {"user517": 120}


def ask_carrier(city: str) -> int:
    """The days that a parcel takes to a city."""
    return _DAYS.get(city, 5)


def track(carrier: str) -> str:
    """Where a carrier's parcel is; longer than `track_parcel` is waited for."""
    time.sleep(0.5)
    return _PLACES[carrier]


def count_points(customer: str) -> int:
    """The loyalty points of a customer."""
    return _POINTS.get(customer, 0)


def make_label(order_id: int) -> tuple[str, str]:
    """The number of a new label for a parcel that comes back, and who takes it."""
    return f"R-{order_id}", "SF Express"
