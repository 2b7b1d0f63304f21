from workers.worker.polling_order import polling_orders


def test_one_claim_in_eight_begins_with_a_later_queue_each_in_its_turn() -> None:
    """The others look at the queues as they were given; no queue is left out of any."""
    rotation = polling_orders(["a", "b", "c"])

    orders = ["".join(next(rotation)) for _ in range(32)]

    assert [order for at, order in enumerate(orders, start=1) if at % 8] == ["abc"] * 28
    assert sorted(orders[7::8]) == ["bca", "bca", "cab", "cab"]


def test_a_single_queue_needs_no_turns() -> None:
    """It is all there is to look at."""
    rotation = polling_orders(["a"])

    assert [next(rotation) for _ in range(16)] == [["a"]] * 16
