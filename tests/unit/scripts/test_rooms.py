"""The import graph of the packages, imports inside of functions included: none goes both ways (ARCHITECTURE.md, The rooms)."""

import ast
import tomllib
from collections import defaultdict
from itertools import permutations
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES = LINTER["root_packages"]
LAYERS = [[room.strip() for room in layer.split("|")] for layer in LINTER["contracts"][0]["layers"]]


def imported_packages(path: Path) -> set[str]:
    """Top-level packages that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
    return found


def streets() -> set[tuple[str, str]]:
    graph: defaultdict[str, set[str]] = defaultdict(set)
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            graph[package] |= imported_packages(path) & set(PACKAGES) - {package}
    return {(package, other) for package, others in graph.items() for other in others}


def test_no_street_goes_both_ways() -> None:
    found = streets()
    assert len(found) > 20
    assert [pair for pair in permutations(PACKAGES, 2) if pair in found and pair[::-1] in found] == []


def test_every_package_has_its_place_in_the_ladder_and_looks_down_only() -> None:
    place = {room: number for number, layer in enumerate(LAYERS) for room in layer}
    shipped = {path.parent.name for path in ROOT.glob("*/__init__.py") if not path.parent.is_symlink()}
    assert shipped - {"tests", "bench", "scripts", "schema"} == set(place) == set(PACKAGES)
    assert [(a, b) for a, b in streets() if place[a] >= place[b]] == []
