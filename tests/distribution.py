"""The order in which the workers of a run begin the files of tests.

``make test`` runs several workers (pytest-xdist, ``--dist loadfile``): the tests of one file run in one worker and in their
order, so that what they share (an installation, a server) is started once. The next free worker takes the next file. Long
files begin first, so that no worker is left alone with one at the end.
"""

import pytest

_FOLDERS = ("e2e", "attacks", "integration", "chaos", "packaging", "deploy")
"""Folders of ``tests`` by the time that one of their files takes, longest first; the others come after them."""
_INSTALLATIONS = frozenset({"up", "processes"})
"""Fixtures that start a whole installation."""


def sort_by_length(items: list[pytest.Item]) -> None:
    """Sort ``items`` in place: files with whole installations first, then folder by folder. Files stay whole."""
    long = {item.path for item in items if _INSTALLATIONS & set(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: (item.path not in long, _rank_folder(item)))


def _rank_folder(item: pytest.Item) -> int:
    folder = item.nodeid.split("/")[1]
    return _FOLDERS.index(folder) if folder in _FOLDERS else len(_FOLDERS)
