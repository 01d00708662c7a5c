"""Login pages: what they are called, what they ask for themselves, and forms that come again (docs/decisions/0156)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, go, submit, why
from tests.unit.ufse.verdicts.collectors import field, report_failures_only, report_no_durations, report_whole_seconds
from ufse.page_kinds import is_detour_page, is_login_form

ASK = {"target_type": "button", "target_id": "check", "target_label": "Check answers"}
ENTER = {"target_type": "button", "target_id": "enter", "target_label": "Enter"}
MENU = {"target_type": "link", "target_id": "menu", "target_label": "Menu"}
PAGE, LOGIN = "/quiz/review", "/login"


@pytest.mark.parametrize(
    "route",
    [
        "/portal/login.xhtml",
        "/login.php",
        "/Login.aspx",
        "/wp-login.php",
        "/users/sign_in",
        "/users/log_in",
        "/a/signin.jsp",
    ],
)
def test_it_is_a_login_page(route: str) -> None:
    assert is_login_form(route.lower())
    assert is_detour_page(route)


@pytest.mark.parametrize(
    "route", ["/login-help", "/logins.csv.gz", "/blog/sign_in_sheet", "/plugin.php", "/logging", "/login.v2-notes"]
)
def test_it_is_no_login_page(route: str) -> None:
    assert not is_login_form(route)
    assert not is_detour_page(route)


def refused(t: float, login: str = LOGIN) -> list[Row]:
    """The address that serves everything refuses the press; the login page comes, and asks the same address for itself."""
    return [
        click(t, ASK, PAGE),
        answer(t + 0.3, 401, 0.2, "/graphql", route=PAGE),
        go(t + 0.35, login, "replace"),
        answer(t + 0.7, 200, 0.3, "/graphql", route=login),
    ]


def logged_in(t: float, login: str = LOGIN) -> list[Row]:
    return [
        field(t, "user", login),
        field(t + 2, "pass", login),
        click(t + 4, ENTER, login),
        submit(t + 4.01, login),
        answer(t + 4.5, 200, 0.4, "/api/auth", route=login),
        go(t + 4.6, PAGE, "replace"),
        answer(t + 5, 200, 0.3, "/graphql", route=PAGE),
    ]


def loop(count: int, login: str = LOGIN) -> list[Row]:
    return [row for i in range(count) for row in (*refused(10 + 20 * i, login), *logged_in(12 + 20 * i, login))]


START = [go(0, "/"), click(2, MENU, "/"), go(2.2, PAGE, "push"), answer(2.6, 200, 0.3, "/graphql", route=PAGE)]
FILLED = [field(4, "q1", PAGE), field(6, "q2", PAGE)]
LET_THROUGH = [click(70, ASK, PAGE), answer(70.4, 200, 0.3, "/graphql", route=PAGE), go(70.5, "/quiz/done", "push")]


@pytest.mark.parametrize("login", [LOGIN, "/users/sign_in", "/portal/login.xhtml", "/errors"])
@pytest.mark.parametrize("count", [3, 4, 5])
def test_what_the_login_page_asks_for_is_no_answer_to_the_refused_press(count: int, login: str) -> None:
    rows = [*START, *FILLED, *loop(count, login), end(12 + 20 * count, PAGE)]
    (body,) = bodies(rows)
    assert body["failurePoint"]["target"].endswith("check")


@pytest.mark.parametrize("collect", [report_no_durations, report_whole_seconds])
def test_so_with_poorer_collectors(collect: object) -> None:
    rows = [*START, *FILLED, *loop(4), end(95, PAGE)]
    assert len(bodies(collect(rows))) == 1  # type: ignore[operator]


CALM: dict[str, list[Row]] = {
    "the session had expired once": [*START, *FILLED, *loop(1), *LET_THROUGH, end(80, "/quiz/done")],
    "twice, then let through": [*START, *FILLED, *loop(2), *LET_THROUGH, end(80, "/quiz/done")],
    "thrice, then let through": [*START, *FILLED, *loop(3), *LET_THROUGH, end(80, "/quiz/done")],
    "once, and nothing follows": [*START, *FILLED, *refused(10), end(12, LOGIN)],
    "logged in silently, and asked again by itself": [
        *START,
        *FILLED,
        *[
            row
            for i in range(3)
            for row in (
                *refused(10 + 20 * i)[:3],
                go(10.6 + 20 * i, PAGE, "replace"),
                answer(11.1 + 20 * i, 200, 0.3, "/graphql", route=PAGE),
            )
        ],
        end(80, PAGE),
    ],
}


@pytest.mark.parametrize("scene", CALM)
def test_it_stays_silent(scene: str) -> None:
    assert bodies(CALM[scene]) == []


OPENED = [go(0, "/"), click(2, MENU, "/"), go(2.4, "/shop", "link"), click(5, MENU, "/shop"), go(5.4, LOGIN, "link")]


def again(count: int, page: str = LOGIN, how: str = "reload", request: int = 0) -> list[Row]:
    """``count`` times filled in and sent; the page is loaded anew. ``request``: status of a request of the press."""
    return [
        row
        for i in range(count)
        for row in (
            field(10 + 20 * i, "user", page),
            field(13 + 20 * i, "pass", page),
            click(16 + 20 * i, ENTER, page),
            submit(16.01 + 20 * i, page),
            *([answer(16.5 + 20 * i, request, 0.3, "/api/auth", route=page)] if request else []),
            go(17.5 + 20 * i, page, how),
        )
    ]


@pytest.mark.parametrize("page", [LOGIN, "/mypage/login", "/connexion", "/account/login.php", "/users/sign_in"])
@pytest.mark.parametrize("count", [3, 5])
def test_a_login_form_that_comes_again_refused_the_login(page: str, count: int) -> None:
    rows = [*[{**row, "route": page if row["route"] == LOGIN else row["route"]} for row in OPENED], *again(count, page)]
    (body,) = bodies([*rows, end(14 + 20 * count, page)])
    assert body["failurePoint"]["route"] == page, why(rows)


def test_so_where_failures_only_are_reported() -> None:
    assert len(bodies(report_failures_only([*OPENED, *again(3), end(75, LOGIN)]))) == 1


KEPT_OUT: dict[str, list[Row]] = {
    "twice": [*OPENED, *again(2), end(60, LOGIN)],
    "let in at last": [*OPENED, *again(3), *again(4, how="link")[-4:-1], go(78, "/home", "link"), end(90, "/home")],
    "the page of another form": [*OPENED[:-1], go(5.4, "/basket", "link"), *again(3, "/basket"), end(75, "/basket")],
    "requests of the press answer well": [*OPENED, *again(3, request=200), end(75, LOGIN)],
    "no other press was answered": [go(0, LOGIN), *again(3), end(75, LOGIN)],
    "no fields are filled in: a button that reloads": [
        *OPENED,
        *[row for row in again(4) if row["event_type"] not in ("input", "form_submit")],
        end(95, LOGIN),
    ],
}


@pytest.mark.parametrize("scene", KEPT_OUT)
def test_such_a_form_stays_silent(scene: str) -> None:
    assert bodies(KEPT_OUT[scene]) == []


def asked_again(*times: float, filled: tuple[float, ...], page: str = "/connexion") -> list[Row]:
    """A login form of an application of whole pages that comes again after each press at ``times``; before those at
    ``filled``, its fields were filled in.
    """
    rows = [go(0, "/"), click(2, MENU, "/"), go(2.4, page)]
    for t in times:
        entries = [field(t - 5, "user", page), field(t - 3, "pass", page)] if t in filled else []
        rows += [*entries, click(t, ENTER, page), submit(t + 0.01, page), go(t + 1.2, page, "replace")]
    return rows


@pytest.mark.parametrize("idle", [(60,), (60, 72), (44, 60), (26, 60)])
@pytest.mark.parametrize("page", ["/connexion", "/login", "/users/sign_in"])
def test_a_login_form_that_comes_again_is_no_success_filled_in_or_not(idle: tuple[float, ...], page: str) -> None:
    filled = (10.0, 20.0, 34.0)
    rows = asked_again(*sorted((*filled, *idle)), filled=filled, page=page)
    assert len(bodies([*rows, end(95, page)])) == 1


def test_who_is_let_in_at_last_is_silent() -> None:
    filled = (10.0, 20.0, 34.0)
    rows = asked_again(*filled, 60, filled=filled)[:-1]
    assert bodies([*rows, go(61.2, "/account"), end(95, "/account")]) == []
