"""Nothing that may identify a person passes the door, and what identifies no one stays readable."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.privacy import (
    cut_query,
    hash_user,
    mask_json,
    mask_metadata,
    mask_name,
    mask_path,
    mask_route,
    mask_source,
    mask_text,
)

CARD = "4111111111111111"  # a well-known test number; valid by Luhn


def with_check_digit(digits: str) -> str:
    """``digits`` completed to a number that is valid by Luhn."""
    for last in "0123456789":
        number = digits + last
        total = sum(sum(divmod(int(digit) * (1 + place % 2), 10)) for place, digit in enumerate(reversed(number)))
        if total % 10 == 0:
            return number
    raise AssertionError("one of ten digits always fits")


cards = st.text("0123456789", min_size=12, max_size=18).map(with_check_digit)
words = st.text(string.ascii_letters + " .,:()", max_size=30)
locals_ = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+\-]{0,20}", fullmatch=True)
domains = st.from_regex(r"([a-z0-9][a-z0-9\-]{0,10}\.){1,2}[a-z]{2,6}", fullmatch=True).filter(
    lambda domain: not re.match(r"\dx\.", domain)
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Pay now", "Pay now"),
        ("mail bob.o+x@mail.example.co.uk.", "mail [email]."),
        ("bob%40example.com", "[email]"),
        ("Ångström@exämple.se", "[email]"),
        ("logo@2x.png and react-dom@18.2.0/index.js", "logo@2x.png and react-dom@18.2.0/index.js"),
        ("@media, user@host", "@media, user@host"),
        ("card 4111 1111 1111 1111.", "card [card]."),
        ("card 4111-1111-1111-1111", "card [card]"),
        ("12 4111 1111 1111 1111 34", "12 [card] 34"),
        ("4111.1111.1111.1111", "[card]"),
        ("room 12, order 12345678", "room 12, order 12345678"),
        ("call 123456789", "call [number]"),
        ("x" * 300 + " call 123456789", "x" * 300 + " call [number]"),
        ("Authorization: Bearer abc.def-123==", "Authorization: [token]"),
        (
            "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P x",
            "jwt [token] x",
        ),
        ("GET https://api.example.com/v1/x?token=secret failed", "GET https://api.example.com/v1/x failed"),
        ("open /reset#code=secret now", "open /reset now"),
        ("Really? #1 choice", "Really? #1 choice"),
        ("https://bob:secret@example.com/x", "https://example.com/x"),
        ("id 550e8400-e29b-41d4-a716-446655440000", "id 550e8400-e29b-41d4-a716-446655440000"),
        ("507f1f77bcf86cd799439011", "507f1f77bcf86cd799439011"),
        ("a\x00b\x1b[31mc", "a b [31mc"),
    ],
)
def test_text_is_masked_where_it_must_be_and_nowhere_else(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    ("path", "masked"),
    [
        ("/checkout?step=2#pay", "/checkout"),
        ("/#/checkout", "/"),
        ("?a=b", "/"),
        ("https://shop.example.com/cart/1?x=y", "/cart/1"),
        ("https://shop.example.com", "/"),
        ("/users/bob@example.com/edit", "/users/:email/edit"),
        ("/users/bob%40example.com", "/users/:email"),
        ("/orders/1234567890", "/orders/:id"),
        ("/orders/8841", "/orders/8841"),
        (f"/pay/{CARD}", "/pay/:card"),
        ("/o/550e8400-e29b-41d4-a716-446655440000", "/o/550e8400-e29b-41d4-a716-446655440000"),
        ("/x;jsessionid=ABCDEF/y", "/x/y"),
        ("//index.php", "//index.php"),
        ("/a\nb\x00", "/a b"),
        ("checkout", "checkout"),
    ],
)
def test_paths_lose_origin_query_and_secrets(path: str, masked: str) -> None:
    assert mask_path(path) == masked


def test_source_keeps_what_tells_extensions_and_third_parties_apart() -> None:
    assert mask_source("chrome-extension://abcdef/x.js?y=1") == "chrome-extension://abcdef/x.js"
    assert mask_source("https://bob:pw@cdn.example.com/app.js?v=3#x") == "https://cdn.example.com/app.js"


def test_names_keep_digit_runs_because_two_targets_must_not_become_one() -> None:
    assert mask_name("row-1234567890123") != mask_name("row-1234567890124")
    assert mask_name('a[href="mailto:bob@example.com"]') == 'a[href="mailto:[email]"]'


@given(before=words, local=locals_, domain=domains, after=words)
def test_no_email_address_survives(before: str, local: str, domain: str, after: str) -> None:
    address = f"{local}@{domain}"
    for mask in (mask_text, mask_path, mask_route, mask_source, mask_name):
        assert address not in mask(f"{before} {address} {after}")


@given(card=cards, separator=st.sampled_from(["", " ", "-", "."]), before=words, after=words)
def test_no_card_number_survives(card: str, separator: str, before: str, after: str) -> None:
    written = separator.join(card[start : start + 4] for start in range(0, len(card), 4))
    for mask in (mask_text, mask_path, mask_route, mask_name, mask_source):
        assert written not in mask(f"{before}{written}{after}")


@pytest.mark.parametrize("before", ["::", "a::", "2001:db8:", "at 10:20:"])
def test_a_card_number_that_looks_like_the_end_of_an_address_is_a_card_number(before: str) -> None:
    assert mask_text(f"{before}4111 1111 1111 1111").endswith("[card]")
    assert "1111" not in mask_text(f"{before}4111 1111 1111 1111")
    assert mask_text("from 2001:db8::1 8080 now") == "from [ip] 8080 now"


@given(st.text(string.digits + string.ascii_letters + "/ -@?=%.", max_size=200))
def test_no_long_digit_run_survives_outside_of_hashes(text: str) -> None:
    for mask in (mask_text, mask_path, mask_route):
        for run in re.finditer(r"[0-9]{9,}", mask(text)):
            around = re.search(rf"[0-9a-fA-F-]*{run[0]}[0-9a-fA-F-]*", mask(text))
            assert around is not None
            assert len(around[0]) >= 24, "only a UUID or a long hash may hold one"


@given(st.text(max_size=300))
def test_masking_twice_is_masking_once(text: str) -> None:
    for mask in (mask_text, mask_path, mask_route, mask_source, mask_name):
        assert mask(mask(text)) == mask(text)


@given(st.text(max_size=300))
def test_paths_hold_no_query_fragment_or_control_character(text: str) -> None:
    masked = mask_path(text)
    assert masked
    assert not re.search(r"[?#\x00-\x1f\x7f\ud800-\udfff]", masked)
    assert cut_query(masked) == masked


@given(st.text(max_size=100), st.sampled_from(["#/", "/#/", "#!/", "#"]), st.text(max_size=100))
def test_masking_a_hash_page_twice_is_masking_it_once(before: str, mark: str, after: str) -> None:
    masked = mask_route(before + mark + after)
    assert mask_route(masked) == masked
    assert not re.search(r"[?\x00-\x1f\x7f\ud800-\udfff]", masked)
    assert masked.count("#") <= 1


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a.",
        "/",
        "@",
        "1 ",
        "11-",
        "411 ",
        "1",
        "%40",
        "Bearer ",
        "eyJ",
        "a@",
        "x@a.",
        "://",
        "?",
        "a-1",
        "é",
    ],
)
def test_masking_is_linear_in_hostile_input(unit: str) -> None:
    # A quadratic pattern would need minutes for this, and the test run would not end.
    text = unit * (150_000 // len(unit))
    for mask in (mask_text, mask_path, mask_route, mask_source, mask_name):
        assert isinstance(mask(text), str)


def test_metadata_is_masked_by_key_and_by_content() -> None:
    masked = mask_metadata(
        {
            "from": "/login?next=/x",
            "url": "https://api.example.com/a?token=t",
            "message": "no user bob@example.com",
            "ip": "203.0.113.7",
            "address6": "2001:db8::1",
            "at": "10:05:03",
            "startTime": 1705312800000,
            "card": int(CARD),
            "bob@example.com": 1,
            "position": {"x": 1.5, "y": 2},
            "flag": None,
        }
    )
    assert masked == {
        "from": "/login",
        "url": "/a",
        "message": "no user [email]",
        "ip": "[ip]",
        "address6": "[ip]",
        "at": "10:05:03",
        "startTime": 1705312800000,
        "card": "[card]",
        "[email]": 1,
        "position": {"x": 1.5, "y": 2},
        "flag": None,
    }


def test_any_json_is_masked_however_deep() -> None:
    value: object = f"card {CARD}"
    for _ in range(50):
        value = {"deeper": [value]}
    masked = repr(mask_json({"a": [{"b": ["bob@example.com"]}], "c": value}))
    assert "bob@example.com" not in masked
    assert CARD not in masked


def test_user_hashes_differ_by_project_and_salt_and_are_taken_once() -> None:
    known = hash_user("p", "user-1", b"salt")
    assert re.fullmatch(r"[0-9a-f]{32}", known)
    assert len({known, hash_user("q", "user-1", b"salt"), hash_user("p", "user-1", b"other"), "user-1"}) == 4
    assert hash_user("p", f"uh:{known}", b"salt") == known
    assert hash_user("p", "uh:nothex", b"salt") != "nothex"
