"""Takes the pictures: all into a folder, those of each page that the documents show into docs/images."""

import argparse
import shutil
import sys
from pathlib import Path

from tools.screenshots.pages import bad_night, quiet
from tools.screenshots.pictures import OWN, Camera, chromium
from tools.screenshots.shop import open_shop, until

DOCS = Path(__file__).parents[2] / "docs" / "images"


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description=__doc__)
    parser.add_argument("folder", type=Path, help="where all pictures go, as PNG")
    folder: Path = parser.parse_args().folder
    path = shutil.which("chromium")
    if path is None:
        sys.exit("expected Chromium on the PATH: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    for old in DOCS.glob("*.webp"):
        old.unlink()
    with open_shop() as shop, chromium(path) as browser:
        camera = Camera(browser, shop.url, folder, DOCS)
        shop.live_through_a_day()
        until(shop.is_quiet)
        for shot in quiet():
            camera.take(shot)
        shop.have_a_bad_night()
        for shot in bad_night(camera.tab("ana", OWN)):
            camera.take(shot)
        camera.take_outage("ana", shop.stop_redis)
    kept = list(DOCS.glob("*.webp"))
    size = sum(each.stat().st_size for each in kept)
    sys.stdout.write(
        f"{len(list(folder.glob('*.png')))} pictures in {folder}, {len(kept)} of them in {DOCS}, {size:,} bytes\n"
    )


if __name__ == "__main__":
    main()
