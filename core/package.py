"""What is known of the installed package itself: its version, and where its files lie."""

from pathlib import Path
from typing import Final

VERSION: Final = "0.1.0"
"""As in ``pyproject.toml``; a test compares them."""
ROOT: Final = Path(__file__).resolve().parent.parent
"""Where ``prefect.yaml``, ``schema/`` and the packages lie: the repository, or ``furrow/_packages`` of an installed wheel."""
