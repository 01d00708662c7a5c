"""Which tests run in the same worker, and in which order workers begin them.

``make test`` runs several workers (pytest-xdist, ``--dist loadgroup``). Tests that share something costly (an
installation, a Prefect server, a ClickHouse server) form a group: one worker runs the group in order, and the shared
thing is started once. All other tests go one by one to whichever worker is free. Groups begin first, the longest kinds
before the others, so that no worker is left with a long group at the end.

Without workers (``pytest tests/unit``) nothing here has an effect.
"""

from collections import Counter

import pytest

PREFECT_SERVERS = 2
"""Workers that start a Prefect server for tests which run flows in their own process; a start takes 10 CPU seconds."""
_SERVERS = {"clickhouse_process", "postgres_process"}
"""Fixtures of the session in ``tests.fakes.servers``."""


def distribute(items: list[pytest.Item]) -> None:
    """Mark each item with its group and sort ``items`` by the order in which they should begin."""
    prefect = _share_prefect_servers(items)
    for item in items:
        if group := _find_group(item, prefect):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_rank)


def _find_group(item: pytest.Item, prefect: dict[str, str]) -> str | None:
    if mark := item.get_closest_marker("xdist_group"):
        return str(mark.args[0])
    module = _module_name(item)
    if module in prefect:
        return prefect[module]
    if _shares_a_fixture(item):
        return module
    if _SERVERS & _fixture_names(item):
        return "servers"
    return None


def _share_prefect_servers(items: list[pytest.Item]) -> dict[str, str]:
    """Group of each module that needs a Prefect server: as many tests with each server, whole modules only."""
    sizes = Counter(_module_name(item) for item in items if "prefect" in _fixture_names(item))
    tests = [0] * PREFECT_SERVERS
    groups = {}
    for module, size in sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0])):
        server = tests.index(min(tests))
        tests[server] += size
        groups[module] = f"prefect-{server}"
    return groups


def _rank(item: pytest.Item) -> int:
    """0 begins first: installations, Prefect servers, other groups, slow single tests, the rest."""
    mark = item.get_closest_marker("xdist_group")
    folder = _module_name(item).split(".")[1]
    if mark and folder in ("e2e", "attacks") and not str(mark.args[0]).startswith("prefect-"):
        return 0
    if mark:
        return 1 if str(mark.args[0]).startswith("prefect-") else 2
    return 4 if folder == "unit" else 3


def _shares_a_fixture(item: pytest.Item) -> bool:
    """Whether the tests of this item's module share a fixture that is set up once for the module."""
    definitions = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009  (no public way to the scopes)
    return any(
        definition.scope in ("module", "package", "class") and definition.func.__module__.startswith("tests.")
        for found in definitions.values()
        for definition in found
    )


def _fixture_names(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


def _module_name(item: pytest.Item) -> str:
    return str(getattr(item, "module").__name__)  # noqa: B009  (pytest.Item has none, pytest.Function has)
