"""An access log says what it says and no more: every line is an event or is reported, and nothing is made
up."""

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furrow.clients.access_log import (
    LogSurvey,
    ParsedLine,
    convert_log_lines,
    derive_default_salt,
    hash_visitor,
    read_access_log,
    survey_log,
)
from tests.tables import build_table

REAL_LOG = Path(__file__).resolve().parents[3] / "data" / "elastic_apache_access.log.gz"
AGENT = "Mozilla/5.0 (X11; Linux x86_64)"
SITE = LogSurvey("d" * 64, "shop.example")


def log_line(
    request: str = "GET /cart HTTP/1.1",
    status: int = 200,
    referer: str = "-",
    agent: str = AGENT,
    client: str = "203.0.113.7 - -",
) -> str:
    return f'{client} [17/May/2015:10:05:03 +0200] "{request}" {status} 512 "{referer}" "{agent}"'


def one(line: str, known: LogSurvey = SITE) -> ParsedLine:
    (only,) = convert_log_lines([line.encode()], known, salt=b"salt")
    return only


def event(line: str) -> dict[str, Any]:
    found = one(line)
    assert found.problem == ""
    assert found.event is not None
    return found.event


def test_a_page_is_a_navigation_whose_origin_is_unknown() -> None:
    assert event(log_line()) == {
        "eventType": "navigation",
        "timestamp": "2015-05-17T10:05:03+02:00",
        "sessionId": hash_visitor("203.0.113.7", AGENT, b"salt"),
        "route": "/cart",
        "metadata": {},
        "userAgent": AGENT,
        "seq": 1,
        "idempotencyKey": f"{'d' * 64}:1",
    }


@pytest.mark.parametrize("referer", ["http://shop.example/list?page=2", "https://www.shop.example:8443/list"])
def test_a_page_after_a_page_of_the_same_site_was_followed_by_link(referer: str) -> None:
    assert event(log_line(referer=referer))["metadata"] == {"from": "/list", "navigationType": "link"}


@pytest.mark.parametrize(
    "referer",
    ["-", "", "http://www.google.com/search?q=x", "http://shop.example.evil/list", "/list", "http://[bad"],
)
def test_a_page_from_anywhere_else_has_no_origin(referer: str) -> None:
    assert event(log_line(referer=referer))["metadata"] == {}


@pytest.mark.parametrize(
    "path", ["/cart", "/", "/a.html", "/a.php?x=1", "/articles/v1.2", "/a.b/c", "//x", "/index.JSP"]
)
def test_pages(path: str) -> None:
    assert event(log_line(f"GET {path} HTTP/1.1"))["eventType"] == "navigation"


@pytest.mark.parametrize(
    "path",
    [
        "/favicon.ico",
        "/robots.txt",
        "/a.css?v=1",
        "/x/y.PNG",
        "/data.json",
        "/api/orders",
        "/v2/API/x",
        "/feed/",
    ],
)
def test_assets_and_apis_are_network_events(path: str) -> None:
    found = event(log_line(f"GET {path} HTTP/1.1"))
    assert found["eventType"] == "network"
    assert found["metadata"] == {"status": 200, "method": "GET", "url": path.partition("?")[0]}


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_failure_is_always_a_network_event(status: int) -> None:
    found = event(log_line(status=status, referer="http://shop.example/list"))
    assert (found["eventType"], found["metadata"]["status"]) == ("network", status)
    assert (found["route"], found["metadata"]["url"]) == ("/list", "/cart")


@pytest.mark.parametrize(
    ("status", "kind"), [(204, "navigation"), (304, "navigation"), (301, "navigation"), (399, "navigation")]
)
def test_below_400_a_page_is_a_page(status: int, kind: str) -> None:
    assert event(log_line(status=status))["eventType"] == kind


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT", "PROPFIND"])
def test_other_methods_are_network_events(method: str) -> None:
    found = event(log_line(f"{method} /cart HTTP/1.1"))
    assert (found["eventType"], found["metadata"]["method"], found["route"]) == ("network", method, "/cart")


def test_nothing_is_claimed_that_a_log_does_not_hold() -> None:
    allowed = {
        "eventType",
        "timestamp",
        "sessionId",
        "route",
        "metadata",
        "userAgent",
        "seq",
        "idempotencyKey",
    }
    for line in (
        log_line(),
        log_line(status=500),
        log_line("POST /x HTTP/1.1"),
        log_line(referer="http://shop.example/a"),
    ):
        found = event(line)
        assert set(found) <= allowed
        assert set(found["metadata"]) <= {"from", "navigationType", "status", "method", "url"}
        assert found["eventType"] in ("navigation", "network")


# ------------------------------------------------------------------------------------------------- robustness


@pytest.mark.parametrize("client", ["2001:db8::1 - -", "203.0.113.7:4711 - bob smith", "[2001:db8::1] - -"])
def test_clients_of_all_kinds(client: str) -> None:
    address = client.split()[0].strip("[]").removesuffix(":4711")
    assert event(log_line(client=client))["sessionId"] == hash_visitor(address, AGENT, b"salt")


def test_escapes_are_undone() -> None:
    found = event(log_line(agent=r"Bot \"quoted\" \\ \xc3\xa9 \xff"))
    assert found["userAgent"] == 'Bot "quoted" \\ é \ufffd'
    assert event(log_line(r"GET /a\"b HTTP/1.1"))["route"] == '/a"b'


def test_a_cut_off_last_field_still_counts() -> None:
    assert event(log_line(agent="Mozilla/5.0 (compatible; Goo")[:-1])["userAgent"] == "Mozilla/5.0 (compatible; Goo"
    assert event(log_line(agent="x\\")[:-1])["userAgent"] == "x"


def test_missing_fields_are_unknown() -> None:
    common = '203.0.113.7 - - [17/May/2015:10:05:03 +0200] "GET /cart HTTP/1.0" 200 -'
    assert "userAgent" not in event(common)
    assert "userAgent" not in event(log_line(agent="-"))
    assert event(log_line() + ' "extra" 0.123')["route"] == "/cart"
    assert event(log_line("GET /cart"))["route"] == "/cart"


def test_absolute_targets_and_spaces() -> None:
    assert event(log_line("GET http://shop.example/a?b HTTP/1.1"))["route"] == "/a"
    assert event(log_line("GET /a b/c HTTP/1.1"))["route"] == "/a b/c"
    assert event(log_line("OPTIONS * HTTP/1.0"))["route"] == "*"


def test_a_long_path_is_cut_to_what_the_contract_takes() -> None:
    found = event(log_line(f"GET /{'a' * 4_000} HTTP/1.1", status=404))
    _, rejects = build_table([found])
    assert rejects == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("not a log line", "combined"),
        (log_line().replace("May", "Mai"), "combined"),
        (log_line().replace("200 512", "20x 512"), "combined"),
        (log_line("-", 408), "not an HTTP request"),
        (log_line(r"\x16\x03\x01", 400), "not an HTTP request"),
        (log_line(agent="x" * 70_000), "longer"),
    ],
)
def test_what_is_no_request_is_reported(line: str, why: str) -> None:
    found = one(line)
    assert found.event is None
    assert why in found.problem


def test_lines_keep_their_numbers_and_blank_ones_are_left_out() -> None:
    lines = [b"\n", log_line().encode() + b"\r\n", b"garbage\n", log_line().encode()]
    assert [(found.number, found.event is None) for found in convert_log_lines(lines, SITE, salt=b"")] == [
        (2, False),
        (3, True),
        (4, False),
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_problem(raw: bytes) -> None:
    for found in convert_log_lines([raw, log_line().encode()[:-10] + raw, raw + log_line().encode()], SITE, salt=b""):
        assert (found.event is None) == bool(found.problem)


@given(
    request=st.text(max_size=30).map(
        lambda t: t.replace('"', "").replace("\\", "").replace("\n", "").replace("\r", "")
    ),
    referer=st.text("htp:/.wshoexampl[]?#-", max_size=30),
    status=st.integers(100, 599),
)
def test_whatever_is_an_event_is_one_that_the_contract_takes(request: str, referer: str, status: int) -> None:
    found = one(log_line(f"GET /{request} HTTP/1.1", status, referer))
    if found.event is not None:
        _, rejects = build_table([found.event])
        assert rejects == []


@pytest.mark.parametrize("unit", ["[", "] ", '"', '\\"', " ", "1.1.1.1 - - [", "a "])
def test_hostile_lines_take_linear_time(unit: str) -> None:
    # A quadratic pattern would need minutes for these, and the test run would not end.
    lines = [(unit * (60_000 // len(unit))).encode()] * 20
    assert len(list(convert_log_lines(lines, SITE, salt=b""))) in (0, 20)


# ---------------------------------------------------------------------------------------------------- privacy


def test_addresses_and_accounts_are_not_in_the_events(tmp_path: Path) -> None:
    found = event(log_line(client="203.0.113.7 - alice"))
    assert "203.0.113.7" not in repr(found)
    assert "alice" not in repr(found)


def test_a_visitor_is_address_and_agent_under_a_salt_that_the_key_gives() -> None:
    known = hash_visitor("1.2.3.4", "a", derive_default_salt("key"))
    assert known == hash_visitor("1.2.3.4", "a", derive_default_salt("key"))
    assert (
        len(
            {
                known,
                hash_visitor("1.2.3.5", "a", derive_default_salt("key")),
                hash_visitor("1.2.3.4", "b", derive_default_salt("key")),
            }
        )
        == 3
    )
    assert known != hash_visitor("1.2.3.4", "a", derive_default_salt("other"))


# ------------------------------------------------------------------------------------------------ whole files


def test_the_site_is_the_host_that_most_referers_name_if_its_pages_are_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    own = [log_line("GET /list HTTP/1.1")] + [log_line(referer="http://www.shop.example/list")] * 3
    foreign = [log_line(referer=f"http://search.example/q{n}") for n in range(2)]
    path.write_text("\n".join([*own, *foreign]))
    assert survey_log(path).site == "shop.example"
    path.write_text("\n".join([log_line(referer="http://search.example/query")] * 5))
    assert survey_log(path).site == "", "a search engine that sends everybody is not the site"
    path.write_text("")
    assert survey_log(path).site == ""


def test_plain_and_gzip_give_the_same_events(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.log", tmp_path / "a.log.gz"
    plain.write_text("\n".join([log_line(), log_line(status=500)]) + "\n")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    events = list(read_access_log(plain, salt=b"s"))
    assert events == list(read_access_log(packed, salt=b"s"))
    assert events[0].event is not None
    assert events[0].event["idempotencyKey"] == f"{hashlib.sha256(plain.read_bytes()).hexdigest()}:1"


def test_every_line_of_a_real_log_is_accepted() -> None:
    found = list(read_access_log(REAL_LOG, salt=derive_default_salt("key")))
    table, rejects = build_table(line.event for line in found)
    assert (len(found), table.num_rows, rejects) == (10_000, 10_000, [])
    assert len(set(table["event_id"].to_pylist())) == 10_000
    assert sum("Googlebot" in agent for agent in table["user_agent"].to_pylist()) > 200
    statuses = table["status"].to_pylist()
    assert [statuses.count(code) for code in (403, 404, 416, 500)] == [2, 213, 2, 3]
