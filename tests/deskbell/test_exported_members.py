"""What `shared` exports."""

import types

import pytest

import deskbell
from deskbell import Discard, Refuse, Retry
from shared.errors import DeskbellError


def test_all_is_sorted_and_holds_exactly_the_public_names() -> None:
    """Integrators import from here; a name that slips in or out would be noticed by them."""
    public = [
        name
        for name, member in vars(deskbell).items()
        if not name.startswith("_") and not isinstance(member, types.ModuleType)
    ]

    assert deskbell.__all__ == sorted(public)


@pytest.mark.parametrize("name", deskbell.__all__)
def test_every_exported_name_has_a_docstring(name: str) -> None:
    """An integrator's editor shows it."""
    assert getattr(deskbell, name).__doc__


def test_the_steering_exceptions_stand_beside_the_error_tree() -> None:
    """They are decisions of the integrator's functions, not errors."""
    assert not any(issubclass(decision, DeskbellError) for decision in (Discard, Refuse, Retry))
