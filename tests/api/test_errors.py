"""What is answered to a request that is refused."""

import pytest

from api.errors import http_info


@pytest.mark.parametrize(
    ("status", "info"), [(404, "not found"), (405, "method not allowed"), (500, "internal server error")]
)
def test_a_status_has_a_phrase(status: int, info: str) -> None:
    """`ErrorInfo` of what HTTP itself refuses."""
    assert http_info(status) == info
