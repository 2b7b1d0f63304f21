"""The handler to paste for a call that none takes."""

import ast
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deskbell import Callbacks
from deskbell.testing import api_call, reply
from shared.drift import handler_to_paste


def declared_by(source: str) -> Callbacks:
    """What pasting the source declares."""
    callbacks = Callbacks()
    scope: dict[str, Any] = {"callbacks": callbacks}
    exec("from deskbell import ApiCall\n" + source, scope)  # noqa: S102 - that it can be pasted is the point
    return callbacks


def test_the_handler_takes_the_variables_by_name() -> None:
    """One that came without a value gets a default."""
    variables = {"SystemClientUserID": True, "OrderID": False, "Tier": True}

    assert handler_to_paste("order_status", variables) == (
        '@callbacks.api_call("order_status")\n'
        'async def order_status(SystemClientUserID: str, Tier: str, OrderID: str = "") -> dict[str, str]:\n'
        "    return {}"
    )


def test_names_that_cannot_be_parameters_are_counted() -> None:
    """They are not shown; the whole call is taken instead."""
    source = handler_to_paste("2nd.node", {"order id": True, "class": True, "Tier": True})

    assert "order id" not in source
    assert "async def answer_2nd_node(call: ApiCall, Tier: str)" in source
    assert "has 2 more" in source
    assert declared_by(source).handlers[0].name == "2nd.node"


@pytest.mark.parametrize("node", ["callbacks", "dict", "str", "print"])
def test_the_function_takes_no_name_that_the_lines_need(node: str) -> None:
    """Pasted below it, the next handler would not be declared."""
    assert f"async def answer_{node}()" in handler_to_paste(node, {})


@example({"__debug__": "1", "call": "2", "True": "3"}, "a")
@example({"self": "1", "until": "2", "cls": "3", "event": "4"}, "a")
@given(
    st.dictionaries(st.text(max_size=80), st.text(max_size=5), max_size=30), st.sampled_from(["", "a", "1-b.c", "if"])
)
def test_whatever_the_call_the_handler_can_be_pasted_and_answers_it(variables: dict[str, str], node: str) -> None:
    """No name breaks out of its place."""
    call = api_call(node, **variables)
    source = handler_to_paste(node, {name: bool(value) for name, value in variables.items()})

    assert len(ast.parse(source).body) == 1
    assert reply(declared_by(source), call).variables == {}
