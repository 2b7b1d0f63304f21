"""Takes the pictures: all into a folder, those that the documents show into docs/images."""

import argparse
import shutil
import sys
from pathlib import Path

from tools.screenshots.pages import bad_night, quiet
from tools.screenshots.pictures import OWN, Camera, chromium
from tools.screenshots.shop import open_shop, until

DOCS = Path(__file__).parents[2] / "docs" / "images"
SHOWN = ("now-desk", "queue-desk", "now-phone", "call-desk", "dead-desk", "confirm-desk", "now-zh")
"""Those that the documents show."""


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description=__doc__)
    parser.add_argument("folder", type=Path, help="where all pictures go, as PNG")
    folder: Path = parser.parse_args().folder
    path = shutil.which("chromium")
    if path is None:
        sys.exit("expected Chromium on the PATH: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    DOCS.mkdir(exist_ok=True)
    with open_shop() as shop, chromium(path) as browser:
        camera = Camera(browser, shop.url, folder, SHOWN, DOCS)
        shop.live_through_a_day()
        until(shop.is_quiet)
        for shot in quiet():
            camera.take(shot)
        shop.have_a_bad_night()
        for shot in bad_night(camera.tab("ana", OWN)):
            camera.take(shot)
        camera.take_outage("ana", shop.stop_redis)
    sys.stdout.write(f"{len(list(folder.glob('*.png')))} pictures in {folder}, {len(SHOWN)} of them in {DOCS}\n")


if __name__ == "__main__":
    main()
