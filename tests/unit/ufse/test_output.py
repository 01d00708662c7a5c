"""What the engine emits has exactly the keys that ufse/detection.py declares."""

from typing import Any, get_args, get_origin, get_type_hints

import pytest
from typing_extensions import is_typeddict

from tests.unit.ufse.scene import table
from tests.unit.ufse.test_explanations import CONFIGS, DETECTIONS, SILENT
from ufse import DEFAULT, Detection, WhyNot, detect
from ufse.detection import OUTPUT_VERSION

KEYS_OF_VERSION = {1: 60, 2: 62}
"""Version → number of declared keys, nested ones included. A change of the declarations raises the version and adds a line."""


def compare_with_declaration(value: object, declared: Any, where: str) -> None:
    """Fails where ``value`` has not the keys of the declaration, or a leaf has another type."""
    if is_typeddict(declared):
        assert isinstance(value, dict), where
        hints = get_type_hints(declared)
        assert list(value) == list(hints), where
        for key, hint in hints.items():
            compare_with_declaration(value[key], hint, f"{where}.{key}")
    elif get_origin(declared) is list:
        assert isinstance(value, list), where
        for item in value:
            compare_with_declaration(item, get_args(declared)[0], f"{where}[]")
    elif isinstance(declared, type):
        assert type(value) is declared, where
    else:
        options = get_args(declared)
        assert value in options or type(value) in options, where


def count_declared_keys(declared: Any) -> int:
    if get_origin(declared) is list:
        return count_declared_keys(get_args(declared)[0])
    return sum(1 + count_declared_keys(h) for h in get_type_hints(declared).values()) if is_typeddict(declared) else 0


@pytest.mark.parametrize("name", DETECTIONS)
def test_a_detection_has_the_declared_keys(name: str) -> None:
    found = detect(table(DETECTIONS[name])).detections
    assert found
    for detection in found:
        compare_with_declaration(detection.to_json(), Detection, name)


@pytest.mark.parametrize("name", SILENT)
def test_a_why_not_has_the_declared_keys(name: str) -> None:
    found = detect(table(SILENT[name]), CONFIGS.get(name, DEFAULT), why_not=True).why_not
    assert found
    for why_not in found:
        compare_with_declaration(why_not.to_json(), WhyNot, name)


def test_another_output_has_another_version() -> None:
    assert count_declared_keys(Detection) + count_declared_keys(WhyNot) == KEYS_OF_VERSION[OUTPUT_VERSION]
    assert max(KEYS_OF_VERSION) == OUTPUT_VERSION


def test_an_undeclared_or_missing_key_is_noticed() -> None:
    (first, *_) = detect(table(DETECTIONS["rage_500"])).detections
    body: dict[str, Any] = dict(first.to_json())
    for wrong in ({**body, "more": 1}, {k: v for k, v in body.items() if k != "context"}, {**body, "resolved": 0}):
        with pytest.raises(AssertionError):
            compare_with_declaration(wrong, Detection, "changed")
