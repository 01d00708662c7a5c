"""What the commands make of texts: values from the command line, and values that must not act on a terminal."""

import io
import unicodedata
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from rich.console import Console

from core.api_keys import generate_api_key
from core.errors import PermanentError, TransientError, WrongUse, exit_code
from core.plurals import format_counted_name
from core.project_changes import normalize_origin
from core.project_settings import MAX_PATTERNS, SETTINGS, find_setting_problem, select_usable_settings
from furrow.cli import common
from furrow.cli.runs import PrefectAddress, RunsApi, parse_parameters
from furrow.clients.operator_api import OperatorApi
from furrow.clients.prefect_api import FlowRun
from ufse import Config


@given(st.text(st.characters(codec="utf-8")))
def test_shown_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = common.sanitize_line(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp", "Co", "Cs") for c in shown)
    assert len(shown) == len(text)


@given(st.text(st.characters(codec="utf-8")))
def test_shown_text_is_no_markup(text: str) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=10_000)
    console.print(common.styled_text(f"[red]{text}[/red]"), end="")
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert told == f"[red]{common.sanitize_line(text)}[/red]"


def test_what_can_be_read_stays_as_it_is() -> None:
    assert (
        common.sanitize_line("POST /api/orders → 500 on “Pay now” 日本 é")
        == "POST /api/orders → 500 on “Pay now” 日本 é"
    )
    assert common.sanitize_lines("one\ntwo\x1b[2J") == "one\ntwo [2J"
    assert common.sanitize_line("a\u202eb\ud800") == "a\ufffdb\ufffd"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("dry_run=true", {"dry_run": True}),
        ("n=3", {"n": 3}),
        ('ids=["inc_1"]', {"ids": ["inc_1"]}),
        ("project=null", {"project": None}),
        ("project=shop", {"project": "shop"}),
        ("start=2026-01-05T00:00Z", {"start": "2026-01-05T00:00Z"}),
        ("text=a=b", {"text": "a=b"}),
        ("empty=", {"empty": ""}),
    ],
)
def test_parameters_are_json_when_they_can_be(given: str, expected: dict[str, Any]) -> None:
    assert parse_parameters([given]) == expected


@pytest.mark.parametrize("given", ["dry_run", "=1", " =1", ""])
def test_a_parameter_has_a_name_and_a_value(given: str) -> None:
    with pytest.raises(WrongUse, match="name=value"):
        parse_parameters([given])


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://Shop.Example:443/", "https://shop.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("*", "*"),
        ("null", "null"),
        ("https://*.Shop.Example", "https://*.shop.example"),
        ("http://*.dev.example:3000", "http://*.dev.example:3000"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(origin: str, expected: str) -> None:
    assert normalize_origin(origin) == expected


@pytest.mark.parametrize(
    "origin",
    ["shop.example", "https://", "https://shop.example/path", "https://a:b@shop.example", "javascript:alert(1)",
     "https://shop.example?x", "https://shop.example:port", "https://shop.example\x1b", "https://sh\u00f6p.example", "",
     "https://*", "https://*.com", "https://*.*.example", "https://a.*.example", "https://x*.shop.example"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(PermanentError, match="an origin has the form"):
        normalize_origin(origin)


def test_keys_are_long_random_and_say_what_they_are_for() -> None:
    keys = {generate_api_key("ingest") for _ in range(100)} | {generate_api_key("operator") for _ in range(100)}
    assert len(keys) == len({key[:11] for key in keys}) == 200
    assert {key[:3] for key in keys} == {"fi_", "fo_"}
    assert all(len(key) == 46 and key.isascii() for key in keys)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("confirmSessions", 1), ("confirmUsers", 1_000_000), ("confirmDays", 0.5), ("confirmDays", 30),
        ("ignoredRoutes", []), ("ignoredRoutes", ["/admin/*"]), ("ignoredTargets", ["button#pay"] * MAX_PATTERNS),
        ("requestsPerSecond", 50),
    ],
)  # fmt: skip
def test_settings_that_fit(name: str, value: object) -> None:
    assert find_setting_problem(name, value) == ""
    assert select_usable_settings({name: value}) == ({name: value}, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("confirmSessions", 0), ("confirmSessions", True), ("confirmSessions", "3"), ("confirmSessions", 2.5),
        ("confirmSessions", None), ("confirmDays", float("nan")), ("confirmDays", float("inf")), ("confirmDays", 0),
        ("ignoredRoutes", "/admin/*"), ("ignoredRoutes", [1]), ("ignoredRoutes", [""]), ("ignoredRoutes", ["a\x1b"]),
        ("ignoredTargets", ["x"] * (MAX_PATTERNS + 1)), ("ignoredTargets", {"a": 1}), ("requestsPerSecond", -1),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused_and_not_used(name: str, value: object) -> None:
    assert name in find_setting_problem(name, value)
    assert select_usable_settings({name: value, "confirmUsers": 4}) == ({"confirmUsers": 4}, [name])


def test_a_setting_that_nobody_knows_is_refused_but_left_alone_where_it_is_stored() -> None:
    assert "there is no project setting 'x'; the settings are confirmSessions" in find_setting_problem("x", 1)
    assert select_usable_settings({"x": 1}) == ({}, [])


@given(st.lists(st.text(min_size=1, max_size=40), max_size=5))
def test_every_pattern_that_fits_is_one_for_the_engine(patterns: list[str]) -> None:
    if SETTINGS["ignoredRoutes"].fits(patterns):
        from fnmatch import fnmatchcase

        assert all(
            fnmatchcase("/checkout", one) in (True, False)
            for one in Config(ignored_routes=tuple(patterns)).ignored_routes
        )


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, WrongUse, " refused the request (400) no\x1b such"),
        (422, WrongUse, " refused the request (422)"),
        (401, PermanentError, "refused the key (401)"),
        (403, PermanentError, "refused the key (403)"),
        (404, PermanentError, "(404)"),
        (409, PermanentError, "(409)"),
        (429, TransientError, "cannot answer now (429)"),
        (503, TransientError, "cannot answer now (503)"),
    ],
)
def test_refusals_of_the_api(httpserver: HTTPServer, status: int, kind: type[Exception], words: str) -> None:
    body = {"error": {"code": "x", "message": "no\x1b such"}}
    httpserver.expect_request("/v1/incidents").respond_with_json(body, status=status)
    with OperatorApi(httpserver.url_for(""), "key") as api, pytest.raises(kind) as told:
        api.list_incidents({})
    assert words in str(told.value)
    assert exit_code(told.value) == (2 if status in (400, 422) else 1)
    assert f"the collector at {httpserver.url_for('').rstrip('/')} " in str(told.value)
    assert "key" not in str(told.value).replace("the key", "").replace("operator key", "").replace("--key", "")


@pytest.mark.parametrize("body", ["[]", "<html>", ""])
def test_an_answer_that_is_no_collectors(httpserver: HTTPServer, body: str) -> None:
    httpserver.expect_request("/v1/incidents").respond_with_data(body)
    with (
        OperatorApi(httpserver.url_for(""), "key") as api,
        pytest.raises(PermanentError, match=r"at http://localhost:.* is not a collector"),
    ):
        api.list_incidents({})


@pytest.mark.parametrize("url", ["", "collector", "ftp://collector", "http://", "http://1.2.3.999"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(WrongUse, match="must have the form"):
        OperatorApi(url, "key")


@pytest.mark.parametrize("incident_id", ["../status", "inc_1/confirm", "inc_1?x", "", "inc_\x1b"])
def test_an_id_asks_for_nothing_else(httpserver: HTTPServer, incident_id: str) -> None:
    with OperatorApi(httpserver.url_for(""), "key") as api, pytest.raises(PermanentError, match="has the form inc_"):
        api.act_on_incident(incident_id, "confirm", {})
    assert httpserver.log == []


def test_prefects_own_words_are_told(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/deployments/name/a/a").respond_with_json(
        {"id": "d", "name": "a", "flow_id": "f", "parameter_openapi_schema": {"properties": {"known": {}}}}
    )
    httpserver.expect_request("/api/deployments/d/create_flow_run").respond_with_json({"detail": "no \x1b"}, status=409)
    with RunsApi(PrefectAddress(httpserver.url_for("/api"), None)) as runs:
        with pytest.raises(WrongUse, match=r"Prefect at http://localhost:.*/api refused \(409\): no  $"):
            runs.start_checked_run("a/a", {"known": 1})
        with pytest.raises(WrongUse, match="no parameter 'other'; its parameters: known"):
            runs.start_checked_run("a/a", {"other": 1})
    with RunsApi(PrefectAddress(httpserver.url_for("/api"), None)) as runs:
        httpserver.stop()
        with pytest.raises(TransientError, match=r"Prefect does not answer at .* \(connection refused\); `furrow up`"):
            runs.start_checked_run("a/a", {})
    httpserver.start()


def test_waiting_ends_and_the_run_goes_on(httpserver: HTTPServer) -> None:
    run: FlowRun = {"id": "r", "name": "slow", "state": {"type": "RUNNING", "name": "Running"}}
    httpserver.expect_request("/api/flow_runs/r").respond_with_json(run)
    with (
        RunsApi(PrefectAddress(httpserver.url_for("/api"), None)) as runs,
        pytest.raises(TransientError, match="slow has not ended"),
    ):
        runs.wait_for_end(run, 0.01)
    assert httpx.get(httpserver.url_for("/api/flow_runs/r")).json() == run


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({"incidents": [], "limit": 50, "offset": 0}, "`total`"),
        ({"incidents": [{"incidentId": "inc_1"}], "total": 1, "limit": 50, "offset": 0}, r"\$\.incidents\[0\]"),
    ],
)
def test_an_answer_of_another_version_is_an_error_in_one_line(
    httpserver: HTTPServer, body: dict[str, object], missing: str
) -> None:
    httpserver.expect_request("/v1/incidents").respond_with_json(body)
    with (
        OperatorApi(httpserver.url_for(""), "key") as api,
        pytest.raises(PermanentError, match=rf"the collector at http.* is of another version .*{missing}") as error,
    ):
        api.list_incidents({})
    assert "\n" not in str(error.value)


def test_an_unknown_key_of_a_newer_collector_is_kept(httpserver: HTTPServer) -> None:
    body = {"incidents": [], "total": 0, "limit": 50, "offset": 0, "newer": 1}
    httpserver.expect_request("/v1/incidents").respond_with_json(body)
    with OperatorApi(httpserver.url_for(""), "key") as api:
        assert api.list_incidents({}) == body


@pytest.mark.parametrize(
    ("count", "name", "words"),
    [
        (1, "sessions analysed", "1 session analysed"),
        (2, "sessions analysed", "2 sessions analysed"),
        (1, "new events", "1 new event"),
        (1, "silent visits", "1 silent visit"),
        (1, "days of events dropped", "1 day of events dropped"),
        (1, "entries", "1 entry"),
        (1, "MB freed", "1 MB freed"),
        (1_000, "detections would be new", "1,000 detections would be new"),
    ],
)
def test_a_count_of_one_has_the_singular(count: int, name: str, words: str) -> None:
    assert format_counted_name(count, name) == words
