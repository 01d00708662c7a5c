"""Folding of ids."""

import pytest

from ufse.page_kinds import is_detour_page, is_thanks_page
from ufse.patterns import clean_text, digest_texts, find_flow_name, fold_message, fold_path, fold_target_name


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/orders/8841", "/orders/:id"),
        ("/orders/8841/", "/orders/:id"),
        ("/", "/"),
        ("", ""),
        ("/users/3f2b8c1e-9a4d-4e7b-8c1d-2f3a4b5c6d7e/edit", "/users/:id/edit"),
        ("/c/5f4dcc3b5aa765d61d8327de", "/c/:id"),
        ("/products/red-shoe-8841", "/products/:id"),
        ("/inv/INV-2024-001", "/inv/:id"),
        ("/step/2", "/step/:id"),
        ("/api/v2/items", "/api/v2/items"),
        ("/oauth2/callback", "/oauth2/callback"),
        ("/address-line-2", "/address-line-2"),
        ("/topics/8841.json", "/topics/:id.json"),
        ("/orders/:id", "/orders/:id"),
        ("/search?q=8841#x", "/search"),
        ("https://shop.example/orders/7", "/orders/:id"),
        ("/facade/decade", "/facade/decade"),
        ("/" + "a" * 100, "/:id"),
        ("/odata/Orders(42)/Lines", "/odata/Orders(:id)/Lines"),
        ("/odata/Customers('ALFKI')", "/odata/Customers(:id)"),
        ("/odata/Customers(%27AB-12%27)", "/odata/Customers(:id)"),
        ("/sap/SalesOrderSet(guid'0050568d-393c-1ed4-9d97-e65f0f3fcc23')", "/sap/SalesOrderSet(:id)"),
        ("/odata/Lines(Order=10248,Product=11)", "/odata/Lines(:id)"),
        ("/odata/Orders(3f2b8c1e-9a4d-4e7b-8c1d-2f3a4b5c6d7e)", "/odata/Orders(:id)"),
        ("/users/delta()", "/users/delta()"),
        ("/titles/Alien_(film)", "/titles/Alien_(film)"),
        ("/shop/(group)", "/shop/(group)"),
    ],
)
def test_fold_path(path: str, pattern: str) -> None:
    assert fold_path(path) == pattern
    assert fold_path(pattern) == pattern


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("pay", "pay"),
        ("row-8841-delete", "row-:id-delete"),
        ("address-line-2", "address-line-2"),
        ("ember1234", "ember:id"),
        ("item_3f2b8c1e-9a4d-4e7b-8c1d-2f3a4b5c6d7e", "item_:id"),
        ("form > button.save", "form > button.save"),
        ("mui-4f3a2b1c", "mui-:id"),
        ("h1", "h1"),
    ],
)
def test_fold_name(name: str, folded: str) -> None:
    assert fold_target_name(name) == folded
    assert fold_target_name(folded) == folded


def test_fold_message() -> None:
    assert fold_message("Order 8841 of 3f2b8c1e-9a4d-4e7b-8c1d-2f3a4b5c6d7e\n failed") == "Order :id of :id failed"
    assert len(fold_message("x" * 5000)) == 120


def test_clean_keeps_one_line() -> None:
    assert clean_text(" a\nb\x00c\ud800d\u2028e ") == "a b c d e"


def test_digest_does_not_run_texts_together() -> None:
    assert digest_texts(("ab", "c")) != digest_texts(("a", "bc"))
    assert len(digest_texts(("\ud800",))) == 32


def test_flows() -> None:
    assert find_flow_name("/checkout/payment") == find_flow_name("/checkout")
    assert find_flow_name("/app/orders/new") != find_flow_name("/app/billing")
    assert find_flow_name("/de/kasse/x") == "kasse"
    assert find_flow_name("/") == ""


def test_pages_that_say_success_or_failure() -> None:
    assert all(map(is_thanks_page, ("/thank-you", "/order/:id/confirmation", "/signup/complete", "/thanks")))
    assert not any(
        map(
            is_thanks_page,
            ("/checkout", "/unsuccessful", "/payment-failed/done-error", "/thankless", "/abandoned"),
        )
    )
    assert is_detour_page("/login")
    assert is_detour_page("/error/:id")
    assert not is_detour_page("/orders")


@pytest.mark.parametrize(
    "page",
    [
        "/kasse/vielen-dank",
        "/danke",
        "/antrag/bestaetigung",
        "/termine/bestätigt",
        "/panier/merci",
        "/commande/confirmée",
        "/pedido/confirmacion",
        "/gracias",
        "/ordine/confermato",
        "/pedido/obrigado",
        "/pedido/confirmação",
        "/winkelwagen/bestelling-bevestigd",
        "/checkout/order-received/:id",
        "/checkout/finish",
    ],
)
def test_pages_that_say_success_in_other_languages(page: str) -> None:
    assert is_thanks_page(page)


@pytest.mark.parametrize(
    "page",
    [
        "/bestaetigen",
        "/p/merci-schokolade",
        "/p/danke-karte",
        "/confirm",
        "/finish",
        "/race/finish",
        "/dankbar",
        "/confirmer",
    ],
)
def test_pages_that_ask_for_it_or_sell_it_do_not(page: str) -> None:
    assert not is_thanks_page(page)
