"""Every manifest fits the schema of its kind."""

import pytest

from tests.deploy.kubernetes.kinds import RELEASES, problems
from tests.deploy.kubernetes.kustomized import FOLDER, OVERLAYS, rendered


@pytest.mark.parametrize("release", RELEASES)
def test_every_manifest_fits_the_schema_of_its_kind(release: str) -> None:
    """Of the oldest release of Kubernetes that is promised, and of the newest."""
    resources = [each for overlay in OVERLAYS for each in rendered(FOLDER / overlay)]

    assert [problem for each in resources for problem in problems(each, release)] == []
