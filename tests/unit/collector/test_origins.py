"""Exact origins, hosts below a name, and pages without an origin."""

import pytest

from collector.access.origins import is_origin_allowed

ENTRIES = ["https://shop.example", "https://*.shop.example", "http://*.dev.example:3000"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example",
        "https://www.shop.example",
        "https://a.b-c.shop.example",
        "https://xn--bcher-kva.shop.example",
        "http://one.dev.example:3000",
    ],
)
def test_an_entry_allows(origin: str) -> None:
    assert is_origin_allowed(origin, ENTRIES)


@pytest.mark.parametrize(
    "origin",
    [
        "http://shop.example",
        "http://www.shop.example",
        "https://www.shop.example:8443",
        "https://shop.example.evil.test",
        "https://evilshop.example",
        "https://.shop.example",
        "https://evil.test/.shop.example",
        "https://evil.test#.shop.example",
        "https://evil.test:443@x.shop.example",
        "https://*.shop.example",
        "https://",
        "https://x y.shop.example",
        "http://dev.example:3000",
        "http://one.dev.example",
        "https://" + "a." * 200 + "shop.example",
        "null",
        "*",
        "",
    ],
)
def test_no_entry_allows(origin: str) -> None:
    assert not is_origin_allowed(origin, ENTRIES)


def test_every_page_is_not_a_page_without_an_origin() -> None:
    assert is_origin_allowed("https://any.example", ["*"])
    assert not is_origin_allowed("null", ["*"])
    assert not is_origin_allowed("*", ["*"])
    assert is_origin_allowed("null", ["*", "null"])
    assert not is_origin_allowed("null", [])
