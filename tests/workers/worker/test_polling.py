from workers.worker.polling import polling_orders


def test_one_claim_in_eight_begins_with_a_later_queue_each_in_its_turn() -> None:
    """The other claims keep the order given; every claim has all queues."""
    rotation = polling_orders(["a", "b", "c"])

    orders = ["".join(next(rotation)) for _ in range(32)]

    assert [order for at, order in enumerate(orders, start=1) if at % 8] == ["abc"] * 28
    assert sorted(orders[7::8]) == ["bca", "bca", "cab", "cab"]


def test_a_single_queue_is_always_first() -> None:
    """There is no later queue to begin with."""
    rotation = polling_orders(["a"])

    assert [next(rotation) for _ in range(16)] == [["a"]] * 16
