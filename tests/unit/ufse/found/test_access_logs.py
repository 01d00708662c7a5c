"""A person's tries in a server's log are tries; polling, beacons, machines and assets are not (case 09a)."""

from pathlib import Path

import numpy as np
import pytest

from furrow.clients.access_log import read_access_log
from tests.tables import build_table
from ufse import Detection, detect
from ufse.server_logs import is_page_path

FOUND = Path(__file__).resolve().parents[3] / "data" / "found"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1"
Line = tuple[int, str, int, str]
"""Second, request, status and path of the referer ('' without one)."""


def detect_log(path: Path) -> list[Detection]:
    table, rejects = build_table(line.event for line in read_access_log(path, salt=b"salt"))
    assert rejects == []
    return [found.to_json() for found in detect(table).detections]


def points(folder: Path, *lines: Line, agent: str = PHONE) -> list[str]:
    """The failure points of a log of one visitor; a site's own pages make its referers known."""
    path = folder / "access.log"
    text = []
    for at, request, status, referer in lines:
        clock = f"{9 + at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}"
        came = f"https://shop.example{referer}" if referer else "-"
        text.append(f'203.0.113.7 - - [02/Mar/2026:{clock} +0000] "{request} HTTP/1.1" {status} 512 "{came}" "{agent}"')
    path.write_text("\n".join(text) + "\n")
    return [found["primaryFailurePoint"] for found in detect_log(path)]


def posts(times: tuple[int, ...], url: str = "/contact", status: int = 500, referer: str = "/contact") -> list[Line]:
    return [(at, f"POST {url}", status, referer) for at in times]


def gets(times: tuple[int, ...], url: str = "/report", status: int = 500, referer: str = "") -> list[Line]:
    return [(at, f"GET {url}", status, referer) for at in times]


SHOWN: Line = (1, "GET /contact", 200, "")
AWAY: Line = (50, "GET /", 200, "/contact")


def test_the_found_log_is_a_detection() -> None:
    (found,) = detect_log(FOUND / "09a-form-posted-three-times.log")
    assert found["primaryFailurePoint"] == "/contact › page load › POST /contact → 500"


@pytest.mark.parametrize(
    "lines",
    [
        [SHOWN, *posts((5, 14, 23)), AWAY],
        [SHOWN, *posts((8, 15, 29)), AWAY],
        [SHOWN, *posts((5, 14, 23), status=503), AWAY],
        [SHOWN, *posts((5, 14, 23, 30)), AWAY],
        [SHOWN, *posts((12, 21))],
        [SHOWN, *posts((5, 14, 23), url="/contact/send"), AWAY],
        [(1, "GET /contact/new", 200, ""), *posts((7, 15, 26), referer="/contact/new"), AWAY],
        [
            SHOWN,
            *posts((5,)),
            (9, "GET /contact", 200, ""),
            *posts((14,)),
            (18, "GET /contact", 200, ""),
            *posts((24,)),
            AWAY,
        ],
        [(1, "GET /login.php", 200, ""), *posts((6, 13, 22), url="/login.php", referer="/login.php"), AWAY],
    ],
)
def test_a_form_sent_in_vain_is_a_detection(lines: list[Line], tmp_path: Path) -> None:
    assert len(points(tmp_path, *lines)) == 1


@pytest.mark.parametrize(
    "lines",
    [
        [(1, "GET /", 200, ""), *gets((5, 9, 16, 21, 30)), (40, "GET /", 200, "/report")],
        [(1, "GET /", 200, ""), *gets((5, 9, 16, 21, 30), referer="/"), (40, "GET /", 200, "")],
        [(1, "GET /", 200, ""), *gets((5, 9, 16, 21, 30), status=503)],
        [*gets((5, 9, 16, 21, 30)), (40, "GET /", 200, "")],
        [(1, "GET /", 200, ""), *gets((5, 14, 23, 32, 41)), (50, "GET /", 200, "")],
        [(1, "GET /", 200, ""), *gets((5, 7, 12, 14, 21), url="/orders/17"), (40, "GET /", 200, "")],
    ],
)
def test_a_page_asked_for_in_vain_is_a_detection(lines: list[Line], tmp_path: Path) -> None:
    assert len(points(tmp_path, *lines)) == 1


@pytest.mark.parametrize(
    "lines",
    [
        # It got there, or it was one failure.
        [SHOWN, *posts((5, 14)), *posts((23,), status=302), (24, "GET /thanks", 200, "/contact"), AWAY],
        [SHOWN, *posts((5, 14)), *posts((23,), status=200), AWAY],
        [SHOWN, *posts((5,)), AWAY],
        [(1, "GET /", 200, ""), *gets((5, 9, 16)), (21, "GET /report", 200, ""), (60, "GET /", 200, "")],
        [(1, "GET /", 200, ""), *gets((5,)), (40, "GET /", 200, "")],
        # Machines: a form that was not read, a clock, nothing else.
        posts((5, 14, 23), referer=""),
        [SHOWN, *posts((1, 2, 3)), AWAY],
        [SHOWN, *posts((10, 20, 30, 40, 50, 60)), (70, "GET /", 200, "/contact")],
        [SHOWN, *posts(tuple(range(31, 400, 30)))],
        gets((5, 14, 23, 32, 41)),
        gets((5, 6, 8, 12, 20, 36)),
        gets(tuple(range(0, 300, 10))),
        [*gets(tuple(range(0, 250, 10)), status=200), *gets((250, 260, 270, 280, 290))],
        [
            (0, "GET /", 200, ""),
            *gets(tuple(range(10, 300, 10)), url="/status", referer="/"),
            (310, "GET /a", 200, "/"),
        ],
        [(0, "GET /", 200, ""), *gets((10, 20, 30, 40, 50), url="/status", referer="/"), (60, "GET /a", 200, "/")],
        # What scripts and pages send.
        [SHOWN, *posts((5, 14, 23), url="/api/contact"), AWAY],
        [SHOWN, *posts((5, 14, 23), url="/wp-admin/admin-ajax.php"), AWAY],
        [SHOWN, *posts((5, 14, 23), url="/collect"), AWAY],
        [(1, "GET /", 200, ""), *posts((5, 14, 23), url="/collect", referer="/"), (50, "GET /a", 200, "/")],
        [(1, "GET /", 200, ""), *gets((5, 9, 16, 21, 30), url="/logo.png", referer="/"), (40, "GET /a", 200, "")],
        [(1, "GET /", 200, ""), *gets((5, 9, 16, 21, 30), url="/app.js", referer="/"), (40, "GET /a", 200, "")],
        [(1, "GET /", 200, ""), *gets((5, 9, 16, 21, 30), url="/api/me", referer="/"), (40, "GET /a", 200, "")],
        # Different pages that fail one after another: a crawler, or a person who looks around.
        [
            (1, "GET /", 200, ""),
            *(gets((5 + 3 * i,), url=f"/page-{'abcde'[i]}")[0] for i in range(5)),
            (40, "GET /", 200, ""),
        ],
    ],
)
def test_what_no_person_struggled_with_is_silent(lines: list[Line], tmp_path: Path) -> None:
    assert points(tmp_path, *lines) == []


@pytest.mark.parametrize(
    "agent", ["Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "python-requests/2.32"]
)
def test_programs_are_silent(agent: str, tmp_path: Path) -> None:
    assert points(tmp_path, SHOWN, *posts((5, 14, 23)), AWAY, agent=agent) == []


def test_many_logs_at_once_and_in_any_order_give_the_same(tmp_path: Path) -> None:
    write = (
        [SHOWN, *posts((5, 14, 23)), AWAY],
        [(1, "GET /", 200, ""), *gets((5, 9, 16, 21, 30)), (40, "GET /", 200, "/report")],
        [SHOWN, *posts((5,)), AWAY],
    )
    logs = []
    for number, lines in enumerate(write):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert len(points(folder, *lines)) == (number < 2)
        logs.append((folder / "access.log").read_text().replace("203.0.113.7", f"203.0.113.{number + 1}"))
    table, _ = build_table(line.event for line in read_access_log(write_text(tmp_path, logs), salt=b"salt"))
    found = [one.to_json() for one in detect(table).detections]
    assert len(found) == 2
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(table.num_rows)
        assert [one.to_json() for one in detect(table.take(order)).detections] == found


def write_text(folder: Path, logs: list[str]) -> Path:
    path = folder / "all.log"
    path.write_text("".join(logs))
    return path


@pytest.mark.parametrize(
    "path", ["/", "/contact", "/orders/17", "/a.php", "/index.JSP", "/articles/v1.2", "/a.b/c", "/capital/x", "/apiary"]
)
def test_pages(path: str) -> None:
    assert is_page_path(path)


@pytest.mark.parametrize(
    "path",
    ["/a.css", "/x.PNG", "/robots.txt", "/api/orders", "/v2/API/x", "/graphql", "/feed/", "/wp-admin/admin-ajax.php"],
)
def test_assets_and_services(path: str) -> None:
    assert not is_page_path(path)


def test_a_browser_that_reports_durations_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    points(tmp_path, SHOWN, *posts((5, 14, 23)), AWAY)
    events = [line.event for line in read_access_log(path, salt=b"salt") if line.event]
    timed = [
        {**e, "metadata": {**e["metadata"], "durationMs": 120}} if e["eventType"] == "network" else e  # type: ignore[dict-item]
        for e in events
    ]
    assert detect(build_table(iter(events))[0]).detections
    assert not detect(build_table(iter(timed))[0]).detections


def test_the_real_log_stays_silent() -> None:
    assert detect_log(FOUND.parent / "elastic_apache_access.log.gz") == []
