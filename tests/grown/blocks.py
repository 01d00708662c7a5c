"""The building blocks that were extracted from the recordings."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def load_blocks() -> dict[str, Any]:
    """Read the blocks; they stand beside this module."""
    blocks: dict[str, Any] = json.loads(Path(__file__).with_name("blocks.json").read_text(encoding="utf-8"))
    return blocks
