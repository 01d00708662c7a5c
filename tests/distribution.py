"""The order in which the workers of a run begin the files of tests.

``make test`` runs several workers (pytest-xdist, ``--dist loadfile``): the tests of one file run in one worker and in their
order, so that what they share (an installation, a server) is started once. The next free worker takes the next file. Long
files begin first, so that no worker is left alone with one at the end.
"""

from pathlib import Path

import pytest

_INSTALLATIONS = frozenset({"up", "processes"})
"""Fixtures that start a whole installation."""
_SERVERS = frozenset({"prefect", "clickhouse", "stoppable_postgres"})
"""Fixtures that start a server, or whose tests wait for servers that are away."""
_FOLDERS = ("e2e", "attacks", "integration", "chaos", "packaging", "deploy")
"""Folders of ``tests`` by the time that one of their files takes, longest first; the others come after them."""


def sort_by_length(items: list[pytest.Item]) -> None:
    """Sort ``items`` in place: files with whole installations, files with servers, then folder by folder.

    The tests of a file stay together and in their order.
    """
    fixtures = dict[Path, set[str]]()
    for item in items:
        fixtures.setdefault(item.path, set()).update(getattr(item, "fixturenames", ()))
    items.sort(key=lambda item: (_rank_fixtures(fixtures[item.path]), _rank_folder(item)))


def _rank_fixtures(names: set[str]) -> int:
    if names & _INSTALLATIONS:
        return 0
    return 1 if names & _SERVERS else 2


def _rank_folder(item: pytest.Item) -> int:
    folder = item.nodeid.split("/")[1]
    return _FOLDERS.index(folder) if folder in _FOLDERS else len(_FOLDERS)
