"""Imports Deskbell's own `shared`, whatever comes first on `sys.path`; to be imported before anything else of it.

Under pytest and `python -m` the caller's folder comes first, and may have a `shared`.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).parent.parent

sys.path.insert(0, str(_ROOT))
try:
    import shared
finally:
    sys.path.remove(str(_ROOT))

if not (found := Path(shared.__path__[0])).samefile(_ROOT / "shared"):
    raise ImportError(f"two packages are named shared, Deskbell's {_ROOT / 'shared'} and your {found}: rename yours")

from shared.own_packages import refuse_shadowed  # noqa: E402 - it is ours

refuse_shadowed()
