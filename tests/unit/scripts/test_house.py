"""``scripts.house`` finds each limit that a source tree exceeds. `make lint` checks the limits of this tree."""

from pathlib import Path

import pytest

from scripts.house import (
    FUNCTION_LINES,
    HELPER_MODULES,
    MODULE_LINES,
    find_violations,
    measure_code,
)

WELL_NAMED = "".join(
    f"def calculate_total_{name}() -> None:\n    pass\n\n\n" for name in ("amount", "duration", "weight")
)


def violations(root: Path, *sources: str) -> list[str]:
    """What is found in a tree with one module for each source, next to well-named functions."""
    package = root / "core"
    package.mkdir()
    (package / "well_named.py").write_text(WELL_NAMED)
    for number, source in enumerate(sources):
        (package / f"module_{number}.py").write_text(source)
    return find_violations(measure_code(root))


def test_a_tree_within_the_limits_has_no_violations(tmp_path: Path) -> None:
    assert violations(tmp_path) == []


def test_a_tree_without_modules_has_no_violations(tmp_path: Path) -> None:
    assert find_violations(measure_code(tmp_path)) == []


def test_too_many_functions_with_one_word(tmp_path: Path) -> None:
    found = violations(tmp_path, "def transformation() -> None: ...\ndef calculation() -> None: ...\n")
    assert found == ["one-word function names: 40.0%, limit 35%; `python -m scripts.house --list one-word` shows them"]


def test_a_leading_underscore_makes_no_second_word(tmp_path: Path) -> None:
    found = violations(tmp_path, "def _transformation() -> None: ...\ndef _calculation() -> None: ...\n")
    assert found == ["one-word function names: 40.0%, limit 35%; `python -m scripts.house --list one-word` shows them"]


def test_names_that_are_too_short(tmp_path: Path) -> None:
    found = violations(tmp_path, "".join(f"def go_{letter}() -> None: ...\n" for letter in "abcdefghi"))
    assert found == ["mean letters of a function name: 7.4, at least 10.0"]


@pytest.mark.parametrize(
    "source",
    [
        "def calculate_total_price(data: dict[str, Any]) -> None: ...\n",
        "def calculate_total_price() -> list[dict[str, Any]]: ...\n",
        "def calculate_total_price(*, data: dict[str, Any] | None = None) -> None: ...\n",
        "def calculate_total_price(*data: dict[str, Any]) -> None: ...\n",
        "def calculate_total_price(**data: dict[str, Any]) -> None: ...\n",
        "async def calculate_total_price(data: dict[str, Any]) -> None: ...\n",
        "class Prices:\n    def calculate_total_price(self, data: dict[str, Any]) -> None: ...\n",
        "Json = dict[str, Any]\ndef calculate_total_price(data: Json) -> None: ...\n",
        "Json: TypeAlias = dict[str, Any]\ndef calculate_total_price(data: list[Json]) -> None: ...\n",
    ],
)
def test_signatures_without_types(tmp_path: Path, source: str) -> None:
    assert violations(tmp_path, source) == [
        "signatures with dict[str, Any]: 25.0%, limit 3%; `python -m scripts.house --list untyped` shows them"
    ]


def test_an_alias_of_another_module_counts(tmp_path: Path) -> None:
    found = violations(
        tmp_path,
        "Json = dict[str, Any]\n",
        "from core.module_0 import Json\ndef calculate_total_price() -> Json: ...\n",
    )
    assert found == [
        "signatures with dict[str, Any]: 25.0%, limit 3%; `python -m scripts.house --list untyped` shows them"
    ]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def calculate_told_amounts() -> None: ...\n", "calculate_told_amounts"),
        ("def calculate_total_price(_seam: int) -> None: ...\n", "_seam"),
        ("class Farewell: ...\n", "Farewell"),
        ("class GivenPrices: ...\n", "GivenPrices"),
        ("WISH = 1\n", "WISH"),
        ("class Prices:\n    def __init__(self) -> None:\n        self.given = 1\n", "given"),
        ("one = 1\n", "one"),
        ("def calculate_total_price(smallest_ones: int) -> None: ...\n", "smallest_ones"),
    ],
)
def test_a_name_with_a_word_of_the_dialect(tmp_path: Path, source: str, name: str) -> None:
    assert violations(tmp_path, source) == [
        f"core/module_0.py: the name {name!r} holds a word that says too little to a reader "
        "(DIALECT and THING in scripts/house.py)"
    ]


def test_one_as_a_number_is_no_dialect(tmp_path: Path) -> None:
    assert violations(tmp_path, "def calculate_one_at_a_time() -> None: ...\n") == []


def test_a_function_that_is_too_long(tmp_path: Path) -> None:
    body = "    x = 1\n" * (FUNCTION_LINES + 1)
    found = violations(tmp_path, f"def calculate_total_price() -> None:\n{body}")
    assert found == [f"core/module_0.py:calculate_total_price: {FUNCTION_LINES + 1} code lines, limit {FUNCTION_LINES}"]


def test_docstrings_comments_and_blank_lines_are_no_code_lines(tmp_path: Path) -> None:
    body = (
        '    """A docstring.\n\n    Of several lines.\n    """\n' + "    x = 1\n\n    # A comment.\n" * FUNCTION_LINES
    )
    assert violations(tmp_path, f"def calculate_total_price() -> None:\n{body}") == []


def test_a_module_that_is_too_long(tmp_path: Path) -> None:
    found = violations(tmp_path, "# A comment.\n" * (MODULE_LINES + 1))
    assert found == [f"core/module_0.py: {MODULE_LINES + 1} lines, limit {MODULE_LINES}"]


def test_a_private_name_in_too_many_modules(tmp_path: Path) -> None:
    found = violations(tmp_path, *["def _calculate_price() -> None: ...\n"] * (HELPER_MODULES + 1))
    assert found == [
        "_calculate_price: a private function of this name in 4 modules, limit 3 (core/module_0.py, core/module_1.py, "
        "core/module_2.py, core/module_3.py); share one function, or choose a name that says more"
    ]


def test_a_private_name_in_few_modules(tmp_path: Path) -> None:
    assert violations(tmp_path, *["def _calculate_price() -> None: ...\n"] * HELPER_MODULES) == []
