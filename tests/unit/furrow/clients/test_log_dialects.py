"""The dialects of access logs, on lines as the vendors' documentation prints them (the page is named beside each)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furrow.cli import files
from furrow.clients.access_log import LogSurvey, convert_log_lines, hash_visitor, read_access_log
from furrow.clients.file_kinds import ACCESS_LOG, EVENTS, guess_file_kind
from furrow.clients.log_dialects import LineReader, is_log_line
from furrow.clients.log_lines import LogEntry, NoEvent
from furrow.clients.log_tables import read_log_table
from tests.tables import build_table
from ufse import detect

# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/AccessLogs.html (Standard log file format)
CLOUDFRONT = (
    "#Version: 1.0\n"
    "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) "
    "cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken "
    "x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status "
    "fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len "
    "sc-range-start sc-range-end\n"
    "2019-12-13\t22:36:27\tSEA19-C1\t900\t192.0.2.200\tGET\td111111abcdef8.cloudfront.net\t/favicon.ico\t502\t"
    "http://www.example.com/\tMozilla/5.0%20(Windows%20NT%2010.0;%20Win64;%20x64)%20AppleWebKit/537.36%20(KHTML,%20like"
    "%20Gecko)%20Chrome/78.0.3904.108%20Safari/537.36\t-\t-\tError\t1pkpNfBQ39sYMnjjUQjmH2w1wdJnbHYTbag21o_3OfcQgPzdL2RSSQ==\t"
    "www.example.com\thttp\t675\t0.102\t-\t-\t-\tError\tHTTP/1.1\t-\t-\t25260\t0.102\tOriginDnsError\ttext/html\t507\t-\t-\n"
)
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html (Examples)
BALANCER_END = (
    "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "
    '"Root=1-58337262-36d228ad5d99923122bbe354" "-" "-" 0 2018-07-02T22:22:48.364000Z "forward" "-" "-"\n'
)
BALANCER = (
    "http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.000 0.001 0.000 "
    '200 200 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - ' + BALANCER_END
)
BALANCER_SOCKET = (
    "ws 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 10.0.0.140:40914 10.0.1.192:8010 0.001 0.003 0.000 "
    '101 101 218 587 "GET http://10.0.0.30:80/ HTTP/1.1" "-" - - ' + BALANCER_END
)
BALANCER_LAMBDA = (
    "http 2018-11-30T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 - 0.000 0.001 0.000 "
    '502 - 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - ' + BALANCER_END
)
# https://caddyserver.com/docs/logging (Structured logs)
CADDY: dict[str, Any] = {
    "level": "info",
    "ts": 1646861401.5241024,
    "logger": "http.log.access",
    "msg": "handled request",
    "request": {
        "remote_ip": "127.0.0.1",
        "remote_port": "41342",
        "client_ip": "127.0.0.1",
        "proto": "HTTP/2.0",
        "method": "GET",
        "host": "localhost",
        "uri": "/",
        "headers": {"User-Agent": ["curl/7.82.0"], "Accept": ["*/*"], "Accept-Encoding": ["gzip, deflate, br"]},
        "tls": {"resumed": False, "version": 772, "cipher_suite": 4865, "proto": "h2", "server_name": "example.com"},
    },
    "bytes_read": 0,
    "user_id": "",
    "duration": 0.000929675,
    "size": 10900,
    "status": 200,
    "resp_headers": {"Server": ["Caddy"], "Content-Type": ["text/html; charset=utf-8"]},
}
# The variables of https://nginx.org/en/docs/http/ngx_http_log_module.html in a log_format with escape=json
NGINX: dict[str, Any] = {
    "time_iso8601": "2026-03-02T09:00:05+00:00",
    "remote_addr": "203.0.113.7",
    "remote_user": "",
    "request": "POST /contact?token=secret HTTP/1.1",
    "status": "500",
    "body_bytes_sent": "512",
    "request_time": "0.250",
    "http_referer": "https://shop.example/contact",
    "http_user_agent": "Mozilla/5.0",
    "upstream_response_time": "0.200, 0.040",
}
# The fields of https://learn.microsoft.com/windows/win32/http/w3c-logging, the values as IIS writes them
IIS = (
    "#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Date: 2026-03-02 09:00:00\n"
    "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status "
    "sc-substatus sc-win32-status time-taken\n"
    "2026-03-02 09:00:05 10.0.0.4 POST /contact.aspx token=secret 443 SHOP\\alice 203.0.113.7 Mozilla/5.0+(Windows+NT+10.0) "
    "https://shop.example/contact.aspx 500 0 0 250\n"
)
# Apache's vhost_combined: https://httpd.apache.org/docs/2.4/mod/mod_log_config.html (Examples: combined, %v in front)
APACHE = (
    '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 '
    '"http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"\n'
)


def read_entries(text: str) -> list[LogEntry]:
    reader = LineReader()
    found = [reader.read_line(line.encode()) for line in text.splitlines(keepends=True)]
    return [entry for entry in found if entry is not None]


def read_one(text: str) -> LogEntry:
    (entry,) = read_entries(text)
    return entry


def test_cloudfront() -> None:
    found = read_one(CLOUDFRONT)
    assert (found.timestamp, found.method, found.path, found.status) == (
        "2019-12-13T22:36:27.000+00:00",
        "GET",
        "/favicon.ico",
        502,
    )
    assert found.addresses.at == {0: "192.0.2.200"}
    assert found.agent.startswith("Mozilla/5.0 (Windows NT 10.0; Win64; x64)")
    assert (found.referer, found.duration_ms) == ("http://www.example.com/", 102)


def test_a_viewer_who_left_cloudfront_before_the_answer_is_aborted() -> None:
    (line,) = convert_log_lines(
        [raw.encode() for raw in CLOUDFRONT.replace("\t502\t", "\t000\t").splitlines()], LogSurvey("d", ""), salt=b"s"
    )
    assert line.event is not None
    metadata = line.event["metadata"]
    assert isinstance(metadata, dict)
    assert (metadata["status"], metadata["aborted"]) == (0, True)


def test_a_balancer() -> None:
    found = read_one(BALANCER)
    assert (found.timestamp, found.path, found.status, found.duration_ms) == (
        "2018-07-02T22:23:00.186+00:00",
        "/",
        200,
        1,
    )
    assert found.addresses.at == {0: "192.168.131.39"}
    assert read_one(BALANCER_LAMBDA).status == 502
    assert read_one(BALANCER.replace("0.000 0.001 0.000", "-1 -1 -1")).duration_ms is None


def test_a_web_socket_is_no_page() -> None:
    (line,) = convert_log_lines([BALANCER_SOCKET.encode()], LogSurvey("d", ""), salt=b"s")
    assert line.event is not None
    assert line.event["eventType"] == "network"


def test_caddy() -> None:
    found = read_one(json.dumps(CADDY))
    assert (found.timestamp, found.path, found.status, found.duration_ms) == (
        "2022-03-09T21:30:01.524+00:00",
        "/",
        200,
        1,
    )
    assert (found.agent, found.user) == ("curl/7.82.0", "")
    for form in ("2022-03-09T21:30:01.524Z", "2022-03-09T21:30:01.524+0000", 1646861401524):
        assert read_one(json.dumps(CADDY | {"ts": form})).timestamp == found.timestamp
    headers = {"X-Forwarded-For": ["198.51.100.4, 10.0.0.1"]}
    proxied = CADDY | {"request": CADDY["request"] | {"headers": headers}}
    assert "198.51.100.4" in read_one(json.dumps(proxied)).addresses.at.values()


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"time_iso8601": "", "msec": "1772442005.000"},
        {"time_iso8601": "", "time_local": "02/Mar/2026:10:00:05 +0100"},
        {"request": "", "request_method": "POST", "request_uri": "/contact?token=secret"},
    ],
)
def test_nginx_in_json(changed: dict[str, str]) -> None:
    found = read_one(json.dumps(NGINX | changed))
    assert found.timestamp[:19] in ("2026-03-02T09:00:05", "2026-03-02T10:00:05")
    assert (found.method, found.path, found.status, found.duration_ms) == ("POST", "/contact", 500, 250)
    assert read_one(json.dumps({"log": json.dumps(NGINX | changed) + "\n"})) == found, "in a container's JSON"


@pytest.mark.parametrize(
    "rest", ["0.250 0.200", '"203.0.113.7" 0.250 0.200, 0.040 .', 'rt=0.250 uct="0.000" urt="0.240"', '"0.250" "-"']
)
def test_nginx_with_a_request_time(rest: str) -> None:
    found = read_one(APACHE.rstrip("\n") + f" {rest}\n")
    assert found.duration_ms == 250


@pytest.mark.parametrize("rest", ["", ' "-"', " 1234", " 10.0.0.1:8080", ' "1.2.345.6"', " 3.26"])
def test_other_fields_are_no_request_time(rest: str) -> None:
    assert read_one(APACHE.rstrip("\n") + rest).duration_ms is None


def test_apache_with_virtual_hosts() -> None:
    assert read_one("www.example.com:80 " + APACHE) == read_one(APACHE)


def test_iis() -> None:
    found = read_one(IIS)
    assert (found.timestamp, found.method, found.path, found.status) == (
        "2026-03-02T09:00:05.000+00:00",
        "POST",
        "/contact.aspx",
        500,
    )
    assert found.addresses.at == {0: "203.0.113.7"}, "not the server's own"
    assert (found.agent, found.duration_ms, found.user) == ("Mozilla/5.0 (Windows NT 10.0)", 250, "SHOP\\alice")


def test_the_date_of_a_w3c_log_may_be_in_its_head() -> None:
    # https://www.w3.org/TR/WD-logfile.html: a log with times alone, after #Date
    text = "#Version: 1.0\n#Date: 2001-05-02 17:42:15\n#Fields: time c-ip cs-method cs-uri-stem sc-status cs-version\n"
    found = read_one(text + "17:42:15 172.16.255.255 GET /default.htm 200 HTTP/1.0\n")
    assert found.timestamp == "2001-05-02T17:42:15.000+00:00"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (json.dumps(NGINX | {"time_iso8601": "2026-03-02T09:00:05"}), "time zone"),
        (json.dumps(NGINX | {"remote_addr": "a.name"}), "address"),
        (json.dumps(NGINX | {"request": "\x16\x03"}), "not an HTTP request"),
        (json.dumps(CADDY | {"status": "x"}), "not an HTTP request"),
        (json.dumps({"level": "info", "msg": "server running"}), "known one"),
        (
            BALANCER.replace('"GET http://www.example.com:80/ HTTP/1.1"', '"- http://www.example.com:80- -"'),
            "not an HTTP",
        ),
        (IIS.replace("c-ip", "c-xx"), "let the server log c-ip"),
        (IIS.replace("sc-status", "sc-xx"), "does not list sc-status"),
        (IIS + "2026-03-02 09:00:05 10.0.0.4\n", "known one"),
    ],
)
def test_a_line_without_a_request_has_a_reason(text: str, why: str) -> None:
    with pytest.raises(NoEvent, match=why):
        read_entries(text)


@pytest.mark.parametrize("text", [CLOUDFRONT, BALANCER, json.dumps(CADDY), json.dumps(NGINX), IIS, APACHE])
def test_each_dialect_is_recognised(text: str, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(text)
    assert guess_file_kind(path) == ACCESS_LOG


def test_events_are_not_taken_for_a_log(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({"eventType": "network", "timestamp": 1, "path": "/", "status": 200, "ip": "1.2.3.4"}))
    assert guess_file_kind(path) == EVENTS


def test_no_account_session_address_or_query_leaves_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    planted = {"remote_user": "alice", "session_id": "s3ss10n", "http_cookie": "a=c00k1e", "args": "token=secret"}
    path.write_text(json.dumps(NGINX | planted) + "\n" + IIS + json.dumps(CADDY | {"user_id": "alice"}) + "\n")
    events = [line.event for line in read_access_log(path, salt=b"salt")]
    assert None not in events
    for secret in ("alice", "s3ss10n", "c00k1e", "secret", "203.0.113.7", "127.0.0.1"):
        assert secret not in json.dumps(events)
    assert events[0] is not None
    assert events[2] is not None
    assert events[0]["userId"] == events[2]["userId"], "one account, one hash"
    assert events[0]["sessionId"] != hash_visitor("203.0.113.7", "Mozilla/5.0", b"salt")


TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["-", "1", "1e999", "/a", "1.2.3.4", "NaN", "2026-03-02"]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXTS, inner, max_size=2)),
    max_leaves=4,
)


def assert_parsed_or_counted(lines: list[bytes]) -> None:
    found = list(convert_log_lines(lines, LogSurvey("d", ""), salt=b""))
    assert all((line.event is None) == bool(line.problem) for line in found)
    assert {is_log_line(line) for line in lines} <= {True, False}
    _, rejects = build_table(line.event for line in found if line.event is not None)
    assert all(reject.reason for reject in rejects)


@given(st.sampled_from(sorted(NGINX)), VALUES, st.sampled_from(sorted(CADDY)), VALUES, VALUES)
def test_any_value_in_json_is_parsed_or_counted(name: str, value: Any, other: str, second: Any, third: Any) -> None:
    request = CADDY["request"] | {"uri": third, "headers": second}
    records = [NGINX | {name: value}, CADDY | {other: second}, CADDY | {"request": request}, {"log": json.dumps(value)}]
    assert_parsed_or_counted([json.dumps(record).encode() for record in records])


@given(st.sampled_from([CLOUDFRONT, BALANCER, IIS, APACHE]), st.data())
def test_any_cut_or_changed_line_is_parsed_or_counted(text: str, data: st.DataObject) -> None:
    *head, last = text.encode().splitlines(keepends=True)
    at = data.draw(st.integers(0, len(last)))
    assert_parsed_or_counted(
        [*head, last[:at] + data.draw(st.binary(max_size=20)) + last[data.draw(st.integers(at, len(last))) :]]
    )


@pytest.mark.parametrize("unit", ["http 2018-07-02T1 ", "0.000 ", '"', "#Fields: a ", "\t", "{", '{"log":"', "1.000"])
def test_hostile_lines_take_linear_time(unit: str) -> None:
    # A quadratic pattern would need minutes for these, and the test run would not end.
    assert_parsed_or_counted([(unit * (60_000 // len(unit))).encode()] * 10)


def write_visit(dialect: str) -> str:
    """A visitor who submits a contact form three times, each time with an error: found 09a in other dialects."""
    steps = [(1, "GET", "/contact", 200, "-")]
    steps += [(at, "POST", "/contact", 500, "https://shop.example/contact") for at in (5, 14, 23)]
    steps.append((40, "GET", "/", 200, "https://shop.example/contact"))
    agent, lines = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1) Safari/604.1", []
    for at, method, path, status, referer in steps:
        day, clock = "2026-03-02", f"09:00:{at:02}"
        lines.append(
            {
                "nginx": f'203.0.113.7 - - [02/Mar/2026:{clock} +0000] "{method} {path} HTTP/1.1" {status} 512 "{referer}" '
                f'"{agent}" 0.{100 + at} 0.{100 + at}',
                "nginx json": json.dumps(
                    NGINX
                    | {"time_iso8601": f"{day}T{clock}+00:00", "request": f"{method} {path} HTTP/1.1", "status": status}
                    | {"http_referer": referer, "http_user_agent": agent}
                ),
                "caddy": json.dumps(
                    CADDY
                    | {"ts": f"{day}T{clock}Z", "status": status}
                    | {
                        "request": CADDY["request"]
                        | {"method": method, "uri": path, "client_ip": "203.0.113.7"}
                        | {"headers": {"User-Agent": [agent], "Referer": [referer]}}
                    }
                ),
                "cloudfront": f"{day}\t{clock}\t203.0.113.7\t{method}\t{path}\t{status}\t{referer}\t"
                f"{agent.replace(' ', '%20')}\t0.120",
                "iis": f"{day} {clock} 203.0.113.7 {method} {path} {status} {referer} {agent.replace(' ', '+')} 120",
                "balancer": f"https {day}T{clock}.100000Z app/x/1 203.0.113.7:2817 10.0.0.1:80 0.000 0.120 0.000 {status} "
                f'{status} 34 366 "{method} https://shop.example:443{path} HTTP/1.1" "{agent}" - - '
                + BALANCER_END.strip(),
            }[dialect]
        )
    head = "#Fields: date time c-ip cs-method cs-uri-stem sc-status cs(Referer) cs(User-Agent) time-taken\n"
    return (head if dialect in ("iis", "cloudfront") else "") + "\n".join(lines) + "\n"


@pytest.mark.parametrize("dialect", ["nginx", "nginx json", "caddy", "cloudfront", "iis", "balancer"])
def test_a_form_that_fails_three_times_is_detected_in_each_dialect(
    dialect: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "access.log"
    path.write_text(write_visit(dialect) + "garbage\n")
    table, problems = read_log_table(path)
    assert [found.reason for found in problems] == ["not the combined log format or another known one"]
    assert problems[0].index == path.read_text().count("\n") - 1
    (found,) = detect(table).detections
    files.detect(path, as_json=True)
    shown = capsys.readouterr()
    assert json.loads(shown.out)["primaryFailurePoint"] == found.to_json()["primaryFailurePoint"]
    assert found.to_json()["primaryFailurePoint"] == "/contact › page load › POST /contact → 500"
    assert "1 event rejected" in shown.err
