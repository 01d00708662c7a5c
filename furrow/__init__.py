"""Furrow detects frustrated users of a web application and files incidents as tickets."""

import sys
from pathlib import Path

_INSTALLED = Path(__file__).resolve().parent / "_packages"
_PACKAGES = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parent.parent

if str(_PACKAGES) not in sys.path:
    # First in the path, so that packages of other projects named `core` or `tasks` are not imported instead.
    sys.path.insert(0, str(_PACKAGES))
