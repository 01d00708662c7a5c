"""Keys of tickets in the upkeep: ``OPS-12`` and ``acme/shop-2#12``."""

import pytest

from stores.incidents.ticket_upkeep import DueCheck
from tasks.upkeep import _order_keys, _ticket_url


@pytest.mark.parametrize(
    "keys",
    [
        ["OPS-2", "OPS-10"],
        ["acme/shop-2#9", "acme/shop-2#10"],
        ["acme/web/shop#2", "acme/web/shop#100"],
        ["0b4b9a2e-1c1f-4a53-9c0e-aaaaaaaaaaaa", "T-7"],
    ],
)
def test_the_oldest_comes_first(keys: list[str]) -> None:
    assert _order_keys(keys[::-1]) == keys
    assert _order_keys(keys) == keys


@pytest.mark.parametrize(
    ("key", "url", "other", "expected"),
    [
        ("OPS-2", "https://j.test/browse/OPS-2", "OPS-1", "https://j.test/browse/OPS-1"),
        ("OPS-2", "https://j.test/browse/OPS-2", "WEB-1", "https://j.test/browse/WEB-1"),
        ("a/b#12", "https://github.com/a/b/issues/12", "a/b#2", "https://github.com/a/b/issues/2"),
        ("a/b#1", "https://github.com/a/b/issues/1", "a/b#21", "https://github.com/a/b/issues/21"),
        ("a/c/b#12", "https://g.test/a/c/b/-/issues/12", "a/c/b#2", "https://g.test/a/c/b/-/issues/2"),
        ("a/b#12", "https://github.com/a/b/issues/12", "a/other#2", ""),
        ("a/b#2", "https://github.com/a/b/issues/12", "a/b#1", ""),
        ("a/b#2", "", "a/b#1", ""),
    ],
)
def test_the_url_of_another_ticket_of_the_same_place(key: str, url: str, other: str, expected: str) -> None:
    tickets = [{"key": key, "url": url or None}]
    check = DueCheck({"tickets": tickets}, key, last=True, identity="")  # type: ignore[typeddict-item]
    assert _ticket_url(check, other) == expected
