"""Write the file of this release."""

import json
import sys

from tests.payloads import FOLDER, to_text, written

rows = [{"queue": name, "hash": to_text(fields)} for name, fields in written()]
(FOLDER / f"{sys.argv[1]}.json").write_text(json.dumps(rows, indent=1) + "\n")
