"""Furrow: finds the moments at which people's brows furrow in a web application and files them as tickets."""

import sys
from pathlib import Path

_INSTALLED = Path(__file__).resolve().parent / "_packages"
_PACKAGES = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parent.parent

if str(_PACKAGES) not in sys.path:
    # First, so that no other project's `core` or `tasks` is taken for ours in Furrow's own processes.
    sys.path.insert(0, str(_PACKAGES))
