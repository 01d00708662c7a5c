"""Furrow: finds the moments at which people's brows furrow in a web application and files them as tickets."""

import sys
from pathlib import Path

__version__ = "0.1.0"

_INSTALLED = Path(__file__).resolve().parent / "_packages"

ROOT = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parent.parent
"""Where ``prefect.yaml`` and the other packages (collector, flows, …) lie: inside an installed wheel, or the repository."""

if str(ROOT) not in sys.path:
    # First, so that no other project's `tasks` or `schema` is taken for ours in Furrow's own processes.
    sys.path.insert(0, str(ROOT))
