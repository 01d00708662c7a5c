"""furrow.js as it is installed: the built bundle, its compressed forms, its version and its hash.

The files are made by ``browser/build.mjs`` and committed; nobody who runs Furrow needs Node. In the wheel they lie at the same
place below `ROOT`.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from core.package import ROOT

FOLDER: Final = ROOT / "browser" / "dist"
NAME: Final = "furrow.js"
_VERSION: Final = re.compile(rb"furrow-browser/(\d[0-9A-Za-z.+-]*)")


@dataclass(frozen=True)
class BrowserScript:
    """The bundle. ``encoded``: its bytes by content coding (``br``, ``gzip``), of the codings that were built."""

    version: str
    plain: bytes
    encoded: dict[str, bytes]

    @property
    def digest(self) -> str:
        """The first 32 hex digits of the SHA-256 of the bundle."""
        return hashlib.sha256(self.plain).hexdigest()[:32]

    @property
    def integrity(self) -> str:
        """The hash for the attribute ``integrity`` of a script tag (Subresource Integrity)."""
        return "sha384-" + base64.b64encode(hashlib.sha384(self.plain).digest()).decode()

    @property
    def versioned_name(self) -> str:
        """The name of the file at its immutable address."""
        return f"furrow-{self.version}.js"


def read_browser_script(folder: Path = FOLDER) -> BrowserScript | None:
    """The bundle in ``folder``; None when there is none, or it names no version. Raises OSError for another failure."""
    try:
        plain = (folder / NAME).read_bytes()
    except FileNotFoundError:
        return None
    version = _VERSION.search(plain)
    if version is None:
        return None
    encoded = {}
    for coding, suffix in (("br", ".br"), ("gzip", ".gz")):
        file = folder / f"{NAME}{suffix}"
        if file.exists():
            encoded[coding] = file.read_bytes()
    return BrowserScript(version[1].decode(), plain, encoded)


@cache
def installed_browser_script() -> BrowserScript | None:
    """The bundle of this installation, read once."""
    return read_browser_script()


def build_script_tag(collector: str, key: str, script: BrowserScript | None = None) -> str:
    """The line for a page: the current script, or with ``script`` this one at its immutable address, with its hash.

    ``collector``: its address without a slash at the end.
    """
    if script is None:
        return f'<script async src="{collector}/{NAME}" data-key="{key}"></script>'
    address = f"{collector}/{script.versioned_name}"
    return f'<script async src="{address}" data-key="{key}" integrity="{script.integrity}" crossorigin="anonymous"></script>'
