"""Two people of an access log stay two, whatever stands around their addresses, and one stays one (cases 08a, 08b, 08d)."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from furrow.clients.access_log import derive_default_salt, hash_visitor, read_access_log, survey_log
from furrow.clients.file_kinds import ACCESS_LOG, guess_file_kind
from furrow.clients.send import SendSummary, send_file
from furrow.clients.visitors import parse_address
from tests.tables import build_table
from ufse import detect

FOUND = Path(__file__).resolve().parents[3] / "data" / "found"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1"
ANN, BEN = "203.0.113.7", "198.51.100.9"
VISITS = (
    (ANN, 1, "GET /contact", 200),
    (ANN, 5, "POST /contact", 500),
    (BEN, 13, "GET /contact", 200),
    (BEN, 17, "POST /contact", 500),
    (ANN, 40, "GET /", 200),
)
Writer = Callable[[str, str], str]
"""Of an address and the rest of a combined line (from " - - [" on) the line."""


def write_log(path: Path, write: Writer, visits: tuple[tuple[str, int, str, int], ...] = VISITS) -> Path:
    lines = []
    for address, second, request, status in visits:
        rest = f' - - [02/Mar/2026:09:00:{second:02} +0000] "{request} HTTP/1.1" {status} 512 "-" "{PHONE}"'
        lines.append(write(address, rest))
    path.write_text("\n".join(lines) + "\n")
    return path


def sessions(path: Path) -> list[str]:
    parsed = list(read_access_log(path, salt=b"salt"))
    assert [line.problem for line in parsed if line.problem] == []
    return [str(line.event["sessionId"]) for line in parsed if line.event]


def expected(*addresses: str) -> list[str]:
    return [hash_visitor(address, PHONE, b"salt") for address in addresses]


BOTH = expected(ANN, ANN, BEN, BEN, ANN)


@pytest.mark.parametrize("name", ["08a-vhost-combined.log", "08b-proxy-address-last.log", "08d-syslog-prefix.log"])
def test_the_found_logs_have_two_visitors_and_no_incident(name: str) -> None:
    assert guess_file_kind(FOUND / name) == ACCESS_LOG
    assert len(set(sessions(FOUND / name))) == 2
    table, _ = build_table(line.event for line in read_access_log(FOUND / name, salt=b"salt"))
    assert detect(table).detections == []


@pytest.mark.parametrize(
    "write",
    [
        lambda who, rest: f"{who}{rest}",
        lambda who, rest: f"shop.example:443 {who}{rest}",
        lambda who, rest: f"www.shop.example {who}{rest}",
        lambda who, rest: f"[2001:db8::80]:443 {who}{rest}",
        lambda who, rest: f"192.0.2.80:443 {who}{rest}",
        lambda who, rest: f"{who}:51234{rest}",
        lambda who, rest: f"::ffff:{who}{rest}",
        lambda who, rest: f"{who}, 10.0.0.5{rest}",
        lambda who, rest: f"<190>Mar  2 09:00:07 web1 nginx: {who}{rest}",
        lambda who, rest: f"Mar  2 09:00:07 web1 nginx[812]: {who}{rest}",
        lambda who, rest: f"Mar  2 09:00:07 10.0.0.9 nginx[812]: {who}{rest}",
        lambda who, rest: f"<190>1 2026-03-02T09:00:07Z web1 nginx 812 - - {who}{rest}",
        lambda who, rest: f"2026-03-02T09:00:07.123456789Z stdout F {who}{rest}",
        lambda who, rest: f"web-1  | {who}{rest}",
        lambda who, rest: f"[pod/web-7d9f/nginx] {who}{rest}",
        lambda who, rest: json.dumps({"log": f"{who}{rest}\n", "stream": "stdout", "time": "2026-03-02T09:00:07Z"}),
        lambda who, rest: json.dumps({"kubernetes": {"pod": "web"}, "message": f"{who}{rest}"}),
        lambda who, rest: f'10.0.0.5{rest} "{who}"',
        lambda who, rest: f'10.0.0.5{rest} "{who}, 10.0.0.4"',
        lambda who, rest: f'10.0.0.5{rest} "10.9.9.9, {who}"',
        lambda who, rest: f'192.0.2.1{rest} "{who}"',
        lambda who, rest: f"10.0.0.5{rest} {who}",
        lambda who, rest: f'10.0.0.{len(rest) % 7}{rest} "{who}"',
        lambda who, rest: f'127.0.0.1{rest} rt=0.1 "{who}" 10.1.2.3:8080',
        lambda who, rest: f'{who}{rest} "-"',
        lambda who, rest: f"{who}{rest} 451 0.012 [shop-80] [] 10.1.{len(rest) % 3}.4:8080 512 0.012 200",
        lambda who, rest: f'{who}{rest} "router@docker" "http://172.18.0.3:80" 3ms',
        lambda who, rest: f'shop.example:443 10.0.0.5{rest} "{who}"',
    ],
)
def test_two_people_are_two(write: Writer, tmp_path: Path) -> None:
    path = write_log(tmp_path / "access.log", write)
    assert sessions(path) == BOTH
    assert guess_file_kind(path) == ACCESS_LOG


@pytest.mark.parametrize(
    "write",
    [
        lambda who, rest: f"[2001:db8::1]:443{rest}",
        lambda who, rest: f"[2001:db8::1]{rest}",
        lambda who, rest: f"2001:DB8:0::1{rest}",
        lambda who, rest: f"shop.example:443 2001:db8::1{rest}",
    ],
)
def test_one_address_in_any_form_is_one(write: Writer, tmp_path: Path) -> None:
    assert set(sessions(write_log(tmp_path / "access.log", write))) == set(expected("2001:db8::1"))


@pytest.mark.parametrize(
    "write",
    [
        lambda who, rest: f"host.example{rest}",
        lambda who, rest: f"-{rest}",
        lambda who, rest: f"shop.example:443 anonymous{rest}",
        lambda who, rest: f"1.2.3{rest}",
        lambda who, rest: f"999.1.1.1{rest}",
        lambda who, rest: f"Mar  2 09:00:07 web1 nginx[812]: -{rest}",
    ],
)
def test_a_line_without_an_address_is_refused_with_the_reason(write: Writer, tmp_path: Path) -> None:
    found = list(read_access_log(write_log(tmp_path / "access.log", write), salt=b"salt"))
    assert [line.event for line in found] == [None] * 5
    assert all("no address of a visitor" in line.problem for line in found)


def test_a_line_that_lacks_the_forwarded_address_has_its_own(tmp_path: Path) -> None:
    path = write_log(tmp_path / "access.log", lambda who, rest: f'10.0.0.5{rest} "{"-" if who == BEN else who}"')
    assert sessions(path) == expected(ANN, ANN, "10.0.0.5", "10.0.0.5", ANN)


def test_people_behind_a_provider_are_not_told_apart_by_a_header_that_few_send(tmp_path: Path) -> None:
    # Direct visitors, of whom some have a proxy of their own: a header that anybody can write decides nothing.
    path = write_log(tmp_path / "access.log", lambda who, rest: f'{who}{rest} "{"192.168.1.4" if who == BEN else "-"}"')
    assert sessions(path) == BOTH
    assert survey_log(path).visitor.notice == ""


def test_a_public_proxy_before_everything_is_seen_through(tmp_path: Path) -> None:
    edges = iter(["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2", "192.0.2.1"])
    path = write_log(tmp_path / "access.log", lambda who, rest: f'{next(edges)}{rest} "{who}"')
    assert sessions(path) == BOTH
    assert "nearly all lines" in survey_log(path).visitor.notice


def test_the_choice_is_said(tmp_path: Path) -> None:
    notice = survey_log(FOUND / "08b-proxy-address-last.log").visitor.notice
    assert notice == (
        "all lines come from 10.0.0.5; visitors are recognized by the address after the user agent (like 198.51.100.9)"
    )
    summary = send_file(FOUND / "08b-proxy-address-last.log", "http://127.0.0.1:9", "k", "combined", attempts=1)
    assert summary.notice == notice
    plain = write_log(tmp_path / "access.log", lambda who, rest: f"{who}{rest}")
    assert survey_log(plain).visitor.notice == ""


def test_a_log_of_one_private_address_is_warned_about(tmp_path: Path) -> None:
    path = write_log(tmp_path / "access.log", lambda who, rest: f"10.0.0.5{rest}", VISITS * 5)
    assert survey_log(path).visitor.notice == ""  # one browser: it may be one person
    path.write_text(path.read_text() + path.read_text().replace("iPhone", "iPad"))
    assert "let the server log X-Forwarded-For" in survey_log(path).visitor.notice


@pytest.mark.parametrize(
    ("token", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:80", "203.0.113.7"),
        ("203.0.113.7,", "203.0.113.7"),
        ("[203.0.113.7]", "203.0.113.7"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("::1", "::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("09:00:07", ""),
        ("2026-03-02T09:00:07Z", ""),
        ("nginx/1.2.3.4", ""),
        ("nginx[812]:", ""),
        ("1.2.3.4.5", ""),
        ("01.2.3.4", ""),
        ("shop.example:443", ""),
        ("", ""),
        ("-", ""),
        (":" * 500, ""),
    ],
)
def test_what_an_address_is(token: str, address: str) -> None:
    assert parse_address(token) == address


def test_the_summary_starts_without_a_notice() -> None:
    assert SendSummary().notice == ""
    assert derive_default_salt("a") != derive_default_salt("b")
