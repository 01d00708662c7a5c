"""The shape of a path: what stays when numbers and names are taken out."""

from __future__ import annotations

import re


def shape_path(path: str) -> str:
    """Replace the numbers of a path by N, a category by C and a product by P."""
    text = re.sub(r"/catalogue/category/[\w-]+/", "/catalogue/category/C/", path)
    text = re.sub(r"/catalogue/[\w-]+_\d+/", "/catalogue/P/", text)
    return re.sub(r"/\d+", "/N", text)
