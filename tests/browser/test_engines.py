"""furrow.js in Firefox and WebKit: each row of what it sends, once in each engine.

Finer cases are tested in Chromium (`test_sdk_*.py`). Here is what engines do differently: events and their order, causes
through promises, texts of errors, history, and what they still send when a page is left. `make test-engines` runs this.
"""

import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.engines import NEEDED, EngineSite, open_engine
from tests.browser.sdk_site import Answer, Event

pytestmark = [pytest.mark.browser, pytest.mark.engines]


@pytest.fixture(scope="module", params=sorted(NEEDED))
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with open_engine(request.param, tmp_path_factory.mktemp(request.param)) as driver:
        yield driver


@pytest.fixture
def site(engine: WebDriver) -> Iterator[EngineSite]:
    """A site whose pages hold furrow.js alone."""
    with closing(EngineSite(engine)) as found:
        yield found
        assert found.faults() == 0


@pytest.fixture(params=["none", "hostile"])
def any_site(engine: WebDriver, request: pytest.FixtureRequest) -> Iterator[EngineSite]:
    """The same; then with scripts beside it that change what they find, a policy without `eval`, and no storage."""
    with closing(EngineSite(engine, request.param)) as found:
        yield found
        assert found.faults() == 0


def causes(site: EngineSite, kind: str, count: int) -> list[str | None]:
    """The control of the event that each event of this type names as its cause."""
    effects = site.sent(kind, count)
    controls = {event["eventId"]: event.get("target", {}).get("id", "") for event in site.intake.events()}
    return [controls[event["cause"]] if "cause" in event else None for event in effects]


def judged(site: EngineSite, count: int) -> list[bool | None]:
    """Whether each click was answered, once a second has passed."""
    time.sleep(1.3)
    clicks = site.sent("click", count)
    verdicts = {event["verdictFor"]: event["metadata"]["responded"] for event in site.sent("verdict", 0)}
    return [click["metadata"].get("responded", verdicts.get(click["eventId"])) for click in clicks]


def metadata(events: list[Event], *names: str) -> list[tuple[object, ...]]:
    return [tuple(event["metadata"].get(name) for name in names) for event in events]


def test_a_click_names_the_control(any_site: EngineSite) -> None:
    any_site.show("<button id=pay><svg width=20 height=20><path d='M0 0h20v20z'/></svg> Pay <b>now</b></button>")
    any_site.click("#pay svg")
    any_site.click("#pay b")
    clicks = any_site.sent("click", 2)
    button = {"type": "button", "id": "pay", "tagName": "button", "label": "Pay now"}
    assert [click["target"] for click in clicks] == [button, button]
    assert metadata(clicks, "inputMethod", "disabled") == [("mouse", False)] * 2
    assert {click["route"] for click in clicks} == {"/shop"}


def test_a_rage_of_four_and_one_that_the_control_swallows(any_site: EngineSite) -> None:
    any_site.show(
        "<button id=save>Save</button><p><button id=once>Order</button>",
        "once.onclick = () => { once.disabled = true; };",
    )
    any_site.click("#save", 4, 0.1)
    any_site.click("#once", 4, 0.1)
    clicks = any_site.sent("click", 8)
    assert [click["target"]["id"] for click in clicks] == ["save"] * 4 + ["once"] * 4
    assert [click["metadata"]["clickCount"] for click in clicks[:4]] == [1, 2, 3, 4]
    assert [click["metadata"]["disabled"] for click in clicks] == [False] * 5 + [True] * 3


def test_failed_requests_and_their_causes(any_site: EngineSite) -> None:
    any_site.api("/api/pay", 500)
    any_site.api("/api/cart", 503)
    any_site.api("/graphql", body='{"data": null, "errors": [{"message": "no"}]}')
    any_site.show(
        "<button id=pay>Pay</button><button id=cart>Cart</button><button id=graph>Ask</button><button id=late>Late</button>",
        """pay.onclick = async () => { await null; await Promise.resolve(); fetch("/api/pay?card=1", {method: "POST"}); };
        cart.onclick = () => { const call = new XMLHttpRequest(); call.open("PUT", "/api/cart?x=1"); call.send(); };
        graph.onclick = () => fetch("/graphql", {method: "POST"});
        late.onclick = () => { setTimeout(() => fetch("/api/nobody"), 0); };""",
    )
    for selector in ("#pay", "#cart", "#graph", "#late"):
        any_site.click(selector)
        time.sleep(0.2)
    calls = any_site.sent("network", 4)
    assert metadata(calls, "method", "url", "status", "bodyError") == [
        ("POST", "/api/pay", 500, None),
        ("PUT", "/api/cart", 503, None),
        ("POST", "/graphql", 200, True),
        ("GET", "/api/nobody", 404, None),
    ]
    assert causes(any_site, "network", 4) == ["pay", "cart", "graph", None]


def test_requests_that_get_no_answer(any_site: EngineSite) -> None:
    any_site.api("/api/slow", wait=2)
    any_site.show(
        "<button id=gone>Gone</button><button id=halt>Stop</button>",
        """gone.onclick = () => { const call = new XMLHttpRequest(); call.open("GET", "/cut"); call.send(); };
        halt.onclick = () => { const c = new AbortController(); fetch("/api/slow", {signal: c.signal}).catch(() => 0);
            c.abort(); };""",
    )
    any_site.answers["/cut"] = Answer(
        status=302, headers={"location": any_site.address.replace("127.0.0.1", "localhost")}
    )
    any_site.click("#gone")
    time.sleep(0.3)
    any_site.click("#halt")
    assert metadata(any_site.sent("network", 2), "url", "status", "aborted") == [
        ("/cut", 0, False),
        ("/api/slow", 0, True),
    ]


def test_errors_of_scripts_and_promises(any_site: EngineSite) -> None:
    any_site.answers["/lib/shop.js"] = Answer("function pay() { null.total; }", kind="text/javascript")
    any_site.show(
        "<script src='/lib/shop.js?v=3'></script><button id=throws>T</button><button id=rejects>R</button>",
        """throws.onclick = () => pay();
        rejects.onclick = async () => { await null; throw new Error("order 1234567 of ada@example.org"); };""",
    )
    for selector in ("#throws", "#rejects"):
        any_site.click(selector)
        time.sleep(0.2)
    thrown, rejected = any_site.sent("error", 2)
    assert "TypeError" in thrown["metadata"]["message"]
    assert thrown["metadata"]["frame"].startswith(f"{any_site.address}/lib/shop.js:1:")
    assert thrown["metadata"]["source"] == f"{any_site.address}/lib/shop.js"
    assert metadata([rejected], "errorType", "message") == [("promise", "order [number] of [email]")]
    assert causes(any_site, "error", 2) == ["throws", "rejects"]


def test_each_of_many_rejections_names_its_press(site: EngineSite) -> None:
    """A press is several dispatches (down, up, click): the end of an earlier one must not end the click's."""
    site.show(
        "<button id=rejects>R</button>",
        "let n = 0; rejects.onclick = async () => { await null; throw new Error('a'.repeat(++n)); };",
    )
    for _ in range(20):
        site.click("#rejects")
    assert causes(site, "error", 20) == ["rejects"] * 20


def test_pages_of_a_one_page_application(any_site: EngineSite) -> None:
    any_site.show(
        "<button id=cart>Cart</button><a id=help href='#/help'>Help</a><button id=back>Back</button>",
        "cart.onclick = () => history.pushState(1, '', '/cart?step=2'); back.onclick = () => history.back();",
    )
    for selector in ("#cart", "#help", "#back"):
        any_site.click(selector)
        time.sleep(0.4)
    moves = any_site.sent("navigation", 4)
    assert [move["route"] for move in moves] == ["/shop", "/cart", "/cart#/help", "/cart"]
    assert metadata(moves, "navigationType", "from")[1:] == [
        ("push", "/shop"),
        ("link", "/cart"),
        ("back_forward", "/cart#/help"),
    ]
    assert causes(any_site, "navigation", 4)[1] == "cart"


def test_a_form_that_the_browser_refuses(any_site: EngineSite) -> None:
    any_site.show(
        "<form id=order><input id=name required><input id=mail type=email value=nonsense><button id=send>Send</button></form>",
        "order.checkValidity();",  # asking is no try
    )
    any_site.click("#send")
    refused = any_site.sent("error", 2)
    assert [event["target"]["id"] for event in refused] == ["name", "mail"]
    assert metadata(refused, "errorType", "message") == [("validation", "valueMissing"), ("validation", "typeMismatch")]
    assert causes(any_site, "error", 2) == ["send", "send"]
    assert metadata(any_site.sent("form_submit"), "valid") == [(False,)]
    assert "nonsense" not in str(any_site.intake.batches)


def test_a_form_that_the_server_refuses(site: EngineSite) -> None:
    site.show("<form id=order method=post action=/order><input id=name><button id=send>Send</button></form>")
    site.put(
        "/order",
        "<form id=order><ul class=errorlist><li>Required</ul><input id=name aria-invalid=true></form>",
        status=422,
    )
    site.click("#send")
    refused = site.sent("error", 2, leave=False)
    assert metadata(refused, "errorType", "message") == [("validation", "errorlist"), ("validation", "aria-invalid")]
    assert causes(site, "error", 2) == ["order", "order"]
    assert causes(site, "navigation", 2) == [None, "order"]
    if site.run("return 'responseStatus' in PerformanceNavigationTiming.prototype"):  # not in this WebKit
        assert metadata(site.sent("network"), "method", "url", "status") == [("POST", "/order", 422)]


def test_whether_the_page_answered(site: EngineSite) -> None:
    site.api("/api/nothing")
    site.show(
        "<button id=works>Works</button><button id=dead>Dead</button><button id=asks>Asks</button><p id=out>-</p>"
        "<b id=clock>0</b>",
        """works.onclick = () => { setTimeout(() => { out.textContent = "done" }, 200) };
        asks.onclick = () => fetch("/api/nothing");
        setInterval(() => { clock.textContent++ }, 250);""",
    )
    time.sleep(2)
    for selector in ("#works", "#dead", "#asks"):
        site.click(selector)
        time.sleep(1.5)
    assert judged(site, 3) == [True, False, False]


def test_a_page_that_was_just_loaded_answers(site: EngineSite) -> None:
    site.show("<button id=go>Go</button><p id=out>-</p>", "go.onclick = () => { out.textContent = 'done' };")
    site.click("#go")
    assert judged(site, 1) == [True]


def test_everything_is_sent_when_the_page_is_left(any_site: EngineSite) -> None:
    any_site.show("<button id=a>A</button><p><a id=next href=/next>Next</a>")
    any_site.put("/next", "<p>Next")
    any_site.click("#a", 3)
    any_site.click("#next")
    any_site.wait_for(lambda: any_site.browser.current_url.endswith("/next"))
    any_site.wait_for(lambda: any_site.run("return document.readyState") == "complete")
    clicks = any_site.sent("click", 4, leave=False)
    assert [click["target"]["id"] for click in clicks] == ["a", "a", "a", "next"]
    first, second = any_site.sent("navigation", 2)
    assert second["metadata"] == {"navigationType": "link", "from": "/shop"}
    if any_site.neighbour == "none":  # without storage, a page does not know what led to it
        assert first["sessionId"] == second["sessionId"]
        assert causes(any_site, "navigation", 2) == [None, "next"]


def test_the_load_of_a_page_is_measured_once(site: EngineSite) -> None:
    site.show("<p>Shop")
    time.sleep(0.5)
    (load,) = site.sent("performance")
    assert load["metadata"]["kind"] == "page_load"
    assert 0 < load["metadata"]["durationMs"] < 60_000
