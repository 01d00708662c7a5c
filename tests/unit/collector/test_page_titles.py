"""The status that a page's title names: only default error pages of servers and frameworks have one."""

import pytest

from collector.contract.page_titles import find_title_status
from tests.unit.collector.test_contract import row


@pytest.mark.parametrize(
    ("title", "status"),
    [
        ("Server Error", 500),
        ("Server Error (500)", 500),
        ("  500   Internal Server Error ", 500),
        ("502 Bad Gateway", 502),
        ("504 Gateway Time-out", 504),
        ("HTTP Status 500 – Internal Server Error", 500),
        ("Error 503 Service Unavailable", 503),
        ("Error 404 (Not Found)", 404),
        ("404: Not Found", 404),
        ("Page not found (404)", 404),
        ("We’re sorry, but something went wrong (500)", 500),
        ("413 Request Entity Too Large", 413),
        ("403 Forbidden", 403),
    ],
)
def test_an_error_page_names_its_status(title: str, status: int) -> None:
    assert find_title_status(title) == status


@pytest.mark.parametrize(
    "title",
    [
        "500 Internal Server Error - HTTP | MDN",
        "How to fix a 502 Bad Gateway",
        "Server Error | Incidents",
        "The Server Error Cookbook",
        "Route 404",
        "Room 500",
        "500",
        "Error 500",
        "Gone",
        "Conflict",
        "Payment required",
        "200 OK",
        "",
        "x" * 500,
        None,
        500,
        ["Server Error"],
    ],
)
def test_other_titles_name_none(title: object) -> None:
    assert find_title_status(title) == -1


@pytest.mark.parametrize(
    ("metadata", "status", "url"),
    [
        ({"status": 500}, 500, "/cart/add"),
        ({"status": "503"}, 503, "/cart/add"),
        ({"status": 404, "title": "Lamps"}, 404, "/cart/add"),
        ({"title": "Server Error"}, 500, "/cart/add"),
        ({"status": 200, "title": "Server Error"}, -1, ""),
        ({"status": 302}, -1, ""),
        ({"status": 0}, -1, ""),
        ({"status": 9_000}, -1, ""),
        ({"title": "Lamps | Shop"}, -1, ""),
        ({}, -1, ""),
    ],
)
def test_a_page_that_failed_has_a_status_and_its_address(metadata: dict[str, object], status: int, url: str) -> None:
    found = row(eventType="navigation", route="/cart/add?id=7", metadata=metadata)
    assert (found.status, found.url) == (status, url)


@pytest.mark.parametrize(
    ("metadata", "verdict"),
    [
        ({"verdict": "rage"}, "rage"),
        ({"verdict": "rage_click"}, "rage"),
        ({"frustrationTypes": "dead_click"}, "dead"),
        ({"frustrationTypes": "rageclick"}, "rage"),
        ({"frustrationTypes": " Error_Click "}, "error"),
        ({"verdict": "slow", "frustrationTypes": "rage_click"}, "slow"),
        ({"frustrationTypes": "thumbs_down"}, ""),
        ({"frustrationTypes": True}, ""),
    ],
)
def test_the_names_of_other_tools_verdicts(metadata: dict[str, object], verdict: str) -> None:
    assert row(metadata=metadata).verdict == verdict
