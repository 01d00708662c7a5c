# ruff: noqa: E501  (pages are easier to read in one line)
"""furrow.js in Chromium: pages, sessions, delivery."""

import time

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.browser.sdk_site import KEY, ROOT, TAG, Answer, Event, Site

pytestmark = pytest.mark.browser


def pages(site: Site, count: int) -> list[tuple[str, str | None, str | None]]:
    return [
        (event["route"], event["metadata"].get("navigationType"), event["metadata"].get("from"))
        for event in site.sent("navigation", count)
    ]


def test_pages_of_a_one_page_application(any_site: Site) -> None:
    any_site.show(
        "<button id=go>Go</button>",
        "go.onclick = () => history.pushState(1, '', '/orders/7?secret=1');",
    )
    any_site.click("#go")
    any_site.run("history.replaceState(1, '', '/orders/8')")
    any_site.run("history.replaceState(1, '', '/orders/8?sort=1')")
    any_site.run("location.hash = '#/items'")
    any_site.run("location.hash = '#top'")
    any_site.run("history.go(-3)")
    any_site.wait_for(lambda: any_site.run("return location.pathname") == "/shop")
    time.sleep(0.1)
    assert [page for page in pages(any_site, 6) if page[2] not in (None, "/outer")] == [
        ("/orders/7", "push", "/shop"),
        ("/orders/8", "replace", "/orders/7"),
        ("/orders/8#/items", "link", "/orders/8"),
        ("/orders/8", "link", "/orders/8#/items"),
        ("/shop", "back_forward", "/orders/8"),
    ]
    (click,) = any_site.sent("click")
    assert any_site.sent("navigation")[1]["cause"] == click["eventId"]
    assert "secret" not in str(any_site.intake.batches)


def test_pages_that_are_loaded(site: Site) -> None:
    site.put("/two", "<p>two")
    site.show("<a id=next href=/two>Two</a>")
    site.click("#next")
    site.wait_for(lambda: site.browser.current_url.endswith("/two"))
    site.browser.refresh()
    site.browser.back()
    site.wait_for(lambda: site.browser.current_url.endswith("/shop"))
    assert pages(site, 4) == [
        ("/shop", None, None),
        ("/two", "link", "/shop"),
        ("/two", "reload", "/shop"),
        ("/shop", "back_forward", None),
    ]
    (click,) = site.sent("click")
    assert site.sent("navigation")[1]["cause"] == click["eventId"]
    assert len({event["sessionId"] for event in site.intake.events()}) == 1


def test_links_that_lead_out(site: Site) -> None:
    site.show(
        "<a id=out href='http://elsewhere.invalid/x'>Out</a><a id=stopped href='http://elsewhere.invalid/y'>No</a><a id=file href=/shop download>File</a>",
        "stopped.onclick = e => e.preventDefault();",
    )
    for selector in ("#stopped", "#file", "#out"):
        site.click(selector)
        time.sleep(0.1)
    found = [event["metadata"] for event in site.sent("navigation", 3)[1:]]
    assert [(data["external"], data.get("download")) for data in found] == [(False, True), (True, None)]


def test_a_form_that_the_server_refuses_with_a_page(site: Site) -> None:
    site.put("/order", "<form id=order method=post action=/send><input name=zip><button id=send>Send</button></form>")
    site.put("/send", "<h1>Broken</h1>", status=500)
    site.browser.get(site.address + "/order")
    site.click("#send")
    site.wait_for(lambda: site.browser.current_url.endswith("/send"))
    (submit,) = site.sent("form_submit")
    (answer,) = site.sent("network")
    assert (answer["metadata"]["method"], answer["metadata"]["url"], answer["metadata"]["status"]) == (
        "POST",
        "/send",
        500,
    )
    assert (answer["cause"], answer["route"]) == (submit["eventId"], "/order")
    assert site.sent("navigation", 2)[1]["cause"] == submit["eventId"]


def test_a_form_that_comes_again_with_marks(site: Site) -> None:
    site.put(
        "/order", "<form id=order method=post action=/order><input id=zip name=zip><button id=send>Send</button></form>"
    )
    site.put(
        "POST /order",
        "<form id=order method=post action=/order><ul class=errorlist><li>Wrong</ul><input id=zip aria-invalid=true><button>Send</button></form>",
    )
    site.answers["POST /order"] = site.answers["POST /order"]
    site.browser.get(site.address + "/order")
    site.click("#send")
    site.wait_for(lambda: bool(site.browser.find_elements(By.CLASS_NAME, "errorlist")))
    errors = site.sent("error", 2)
    assert {error["metadata"]["message"] for error in errors} == {"errorlist", "aria-invalid"}
    assert {error["cause"] for error in errors} == {site.sent("form_submit")[0]["eventId"]}
    assert site.sent("network")[0]["metadata"]["status"] == 200


def test_a_page_that_was_opened_later_is_no_answer_to_a_form(site: Site) -> None:
    """The form is lost: the browser's own error page comes, without the script. Then the person goes elsewhere."""
    site.put("/order", "<form id=order method=post action=/send><input name=zip><button id=send>Send</button></form>")
    site.put("/list", "<p>Orders")
    site.answers["POST /send"] = Answer("<h1>502 Bad Gateway</h1>", 502)
    site.browser.get(site.address + "/order")
    site.click("#send")
    site.wait_for(lambda: "502" in site.browser.page_source)
    time.sleep(1.5)  # nobody types an address faster
    site.browser.get(site.address + "/list")
    assert pages(site, 2) == [("/order", None, None), ("/list", None, None)]
    assert "cause" not in site.sent("navigation", 2)[1]
    assert site.sent("network", 0) == []


def test_a_slow_page_is_the_answer_to_its_form(site: Site) -> None:
    site.put("/order", "<form id=order method=post action=/send><input name=zip><button id=send>Send</button></form>")
    site.put("/send", "<p>Thank you", wait=2.5)
    site.browser.get(site.address + "/order")
    site.click("#send")
    site.wait_for(lambda: "Thank you" in site.browser.page_source)
    (submit,) = site.sent("form_submit")
    (answer,) = site.sent("network")
    assert answer["cause"] == site.sent("navigation", 2)[1]["cause"] == submit["eventId"]
    assert answer["metadata"]["durationMs"] >= 2_500


def test_an_error_page_says_so(site: Site) -> None:
    site.show("<h1>Not here</h1>", path="/missing", status=404)
    (answer,) = site.sent("network")
    assert (answer["metadata"]["method"], answer["metadata"]["url"], answer["metadata"]["status"]) == (
        "GET",
        "/missing",
        404,
    )


def test_routes_that_the_application_names(site: Site) -> None:
    site.show(
        "<p>x",
        "furrow.push(['page', '/orders/:id']);",
        head=f"<script>window.furrow = [['user', 4711]]</script>{TAG}",
        path="/orders/99",
    )
    site.run("history.pushState(1, '', '/elsewhere')")
    site.run("furrow.page('/named')")
    found = site.sent("navigation", 4)
    assert [event["route"] for event in found] == ["/orders/99", "/orders/:id", "/elsewhere", "/named"]
    assert {event["userId"] for event in found} == {"4711"}


def test_a_page_from_the_back_forward_cache(site: Site) -> None:
    site.put("/two", "<p>two")
    site.show("<p>one", "addEventListener('pageshow', e => { window.again = e.persisted; });")
    site.browser.get(site.address + "/two")
    site.browser.back()
    site.wait_for(lambda: site.browser.current_url.endswith("/shop"))
    cached = site.run("return window.again")
    assert pages(site, 3)[2][:2] == ("/shop", "back_forward")
    assert isinstance(cached, bool)


def test_the_session_ends_with_the_last_tab(site: Site) -> None:
    elsewhere = site.browser.current_window_handle

    def open_tab() -> str:
        site.browser.switch_to.new_window("tab")
        site.browser.get(site.address + "/shop")
        time.sleep(0.3)
        return site.browser.current_window_handle

    def close_tab(handle: str) -> None:
        site.browser.switch_to.window(handle)
        site.browser.close()
        site.browser.switch_to.window(elsewhere)
        time.sleep(0.4)

    site.put("/shop", "<p>one")
    first, second = open_tab(), open_tab()
    close_tab(second)
    assert [event for event in site.intake.events() if event["eventType"] == "session_end"] == []
    close_tab(first)
    site.sent("session_end", leave=False)
    time.sleep(0.3)
    events = site.intake.events()
    assert events[-1]["eventType"] == "session_end"
    assert len({event["sessionId"] for event in events}) == 1
    assert len({event["eventId"].split("-")[0] for event in events}) == 2


def test_idle_for_half_an_hour_is_a_new_session(site: Site) -> None:
    site.show("<button id=a>A</button>")
    before = site.run("return furrow.session()")
    site.run("localStorage.furrow = JSON.stringify({id: 'abcdefgh', last: Date.now() - 31 * 60000})")
    site.browser.refresh()
    after = site.run("return furrow.session()")
    assert after not in (before, "abcdefgh")
    assert len(after) == 22
    site.run("localStorage.furrow = JSON.stringify({id: 'abcdefgh', last: Date.now() + 1})")
    site.browser.refresh()
    assert site.run("return furrow.session()") == "abcdefgh"


@pytest.mark.parametrize(
    ("mode", "sends", "stores"), [("required", False, False), ("memory", True, False), ("granted", True, True)]
)
def test_consent(site: Site, mode: str, sends: bool, stores: bool) -> None:
    site.show("<button id=a>A</button>", head=f"<script src=/furrow.js data-key={KEY} data-consent={mode}></script>")
    site.click("#a")
    assert bool(site.run("return furrow.session()")) is sends
    assert site.run("return 'furrow' in localStorage") is stores
    site.run("furrow.consent(true)")
    site.click("#a")
    assert site.run("return 'furrow' in localStorage") is True
    assert len(site.sent("click", 1 + sends)) == 1 + sends


def test_consent_withdrawn_leaves_nothing(site: Site) -> None:
    site.show("<button id=a>A</button>")
    site.click("#a")
    site.run("furrow.consent(false)")
    site.click("#a")
    assert site.run("return [...Object.keys(localStorage), ...Object.keys(sessionStorage)]") == []
    site.leave()
    time.sleep(0.3)
    assert site.intake.events() == []


def test_browsers_that_a_program_drives_send_nothing(browser: Chrome) -> None:
    site = Site(browser)
    site.show("<button id=a>A</button>")
    site.click("#a")
    site.leave()
    time.sleep(0.3)
    site.close()
    assert site.intake.batches == []


def test_sampling_and_before_send(site: Site) -> None:
    site.show("<button id=a>A</button>", head=f"<script src=/furrow.js data-key={KEY} data-sample=0></script>")
    assert site.run("return furrow.session()") == ""
    site.run("localStorage.clear()")  # the choice holds for the session
    site.show(
        "<button id=a>A</button><button id=b>B</button><button id=c>C</button>",
        """furrow.init({key: 'k', beforeSend(event) {
        if (event.target?.id === "a") return null;
        if (event.target?.id === "c") throw new Error("of the page");
        event.metadata.shop = 7; return event; }});""",
        head="<script src=/furrow.js></script>",
    )
    for selector in ("#a", "#b", "#c"):
        site.click(selector)
    site.provoked = 1
    (click,) = site.sent("click")
    assert (click["target"]["id"], click["metadata"]["shop"]) == ("b", 7)


def wire(site: Site) -> list[str]:
    return [headers["content-type"] for headers in site.intake.headers]


def test_batches_and_what_they_say(any_site: Site) -> None:
    any_site.api("/api/broken", 500)
    any_site.show("<button id=a>A</button>", "a.onclick = () => fetch('/api/broken');")
    any_site.click("#a", 8)
    any_site.wait_for(lambda: bool(any_site.intake.batches))  # a failure is sent within a second
    (batch,) = any_site.intake.batches
    assert abs(batch["sentAt"] - time.time() * 1000) < 10_000
    assert batch["sdkVersion"].startswith("furrow-browser/")
    (headers,) = any_site.intake.headers
    assert headers["x-api-key"] == KEY
    assert headers["content-encoding"] == "gzip"
    assert "cookie" not in headers
    seqs = [event["seq"] for event in any_site.intake.events()]
    assert seqs == sorted(set(seqs))
    assert not any(event["metadata"].get("url", "").startswith("/v1/") for event in any_site.intake.events())


def test_a_collector_that_is_busy_gets_everything_once(site: Site) -> None:
    site.api("/api/broken", 500)
    site.intake.status, site.intake.retry_after = 503, "1"
    site.show("<button id=a>A</button>", "a.onclick = () => fetch('/api/broken');")
    site.click("#a")
    site.wait_for(lambda: len(site.intake.headers) >= 1)
    site.click("#a")
    site.intake.status, site.intake.retry_after = 202, ""
    site.wait_for(lambda: bool(site.intake.batches))
    time.sleep(0.2)
    assert len(site.sent("click", 2)) == 2
    keys = [event["idempotencyKey"] for batch in site.intake.batches for event in batch["events"]]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("status", [401, 403, 413])
def test_a_collector_that_refuses_is_asked_once(site: Site, status: int) -> None:
    site.api("/api/broken", 500)
    site.intake.status = status
    site.browser.get_log("browser")
    site.show("<button id=a>A</button>", "a.onclick = () => fetch('/api/broken');")
    site.click("#a")
    site.wait_for(lambda: bool(site.intake.headers))
    time.sleep(0.3)
    site.click("#a", 3)
    site.leave()
    time.sleep(1.2)
    assert len(site.intake.headers) == 1
    warnings = [one for one in site.browser.get_log("browser") if "furrow:" in one["message"]]
    assert len(warnings) == 1
    assert str(status) in warnings[0]["message"]


def test_what_could_not_be_sent_comes_with_the_next_page(site: Site) -> None:
    site.intake.status = 503
    site.api("/api/broken", 500)
    site.show("<button id=a>A</button>", "a.onclick = () => fetch('/api/broken');")
    site.click("#a")
    site.wait_for(lambda: bool(site.intake.headers))
    site.leave()
    time.sleep(0.5)
    site.intake.status = 202
    assert site.intake.batches == []
    site.browser.get(site.address + "/shop")
    assert len(site.sent("click", leave=False)) == 1


def test_offline_hours(site: Site) -> None:
    site.api("/api/broken", 500)
    site.show("<button id=a>A</button>", "a.onclick = () => fetch('/api/broken').catch(() => 0);")
    time.sleep(0.2)
    site.browser.set_network_conditions(offline=True, latency=0, throughput=0)
    try:
        for _ in range(3):
            site.click("#a")
        time.sleep(2)
    finally:
        site.browser.delete_network_conditions()
    site.wait_for(lambda: bool(site.intake.batches))
    assert [event["metadata"]["status"] for event in site.sent("network", 3)] == [0, 0, 0]


def test_a_queue_that_is_full_says_what_it_dropped(site: Site) -> None:
    site.intake.status = 503
    site.show("<p>x")
    site.run(
        "for (let i = 0; i < 2000; i++) furrow.achieved('step' + i); for (let i = 0; i < 30; i++) furrow.failed('bad' + i)"
    )
    time.sleep(1.3)
    site.intake.status = 202
    site.wait_for(lambda: "/bad29" in str(site.intake.batches[-1:]))
    dropped = max(batch.get("dropped", 0) for batch in site.intake.batches)
    urls = [event["metadata"]["url"] for event in site.sent("network", 100)]
    assert dropped > 1_000
    assert len([url for url in urls if url.startswith("/bad")]) == 30
    assert "/step1999" in urls
    assert "/step0" not in urls


def test_what_the_page_waits_for(site: Site) -> None:
    site.show(
        "<button id=a>A</button>",
        "a.onclick = () => { const end = performance.now() + 700; while (performance.now() < end); };",
    )
    site.click("#a")
    time.sleep(0.5)
    kinds: list[Event] = site.sent("performance", 3)
    assert {event["metadata"]["kind"] for event in kinds} == {"page_load", "long_task", "slow_response"}


def test_loaded_twice_and_stopped(site: Site) -> None:
    site.show("<button id=a>A</button>", head=TAG + TAG)
    site.click("#a")
    site.run("furrow.stop()")
    site.click("#a")
    assert len(site.sent("click")) == 1


def test_a_call_that_is_wrong_harms_nobody(site: Site) -> None:
    site.show(
        "<p>x",
        "furrow.push(['nonsense'], ['user'], ['page'], null); furrow.init(); furrow.push(['init', {key: 'x', url: 'http://['}]);",
        head="<script>furrow = ['nonsense', 7, null]</script>" + TAG,
    )
    assert site.run("return typeof furrow.user") == "function"
    site.provoked = 1
    site.leave()


def test_the_module_does_in_a_page_what_the_script_does(site: Site) -> None:
    module = (ROOT / "browser/dist/index.mjs").read_text()
    site.answers["/module.mjs"] = Answer(module, kind="text/javascript")
    start = (
        '<script type=module>import { init } from "/module.mjs"; init({ key: "k" }); window.started = true;</script>'
    )
    site.show("<button id=buy>Buy</button>", head=start)
    site.wait_for(lambda: bool(site.run("return window.started")))
    site.click("#buy")
    (click,) = site.sent("click")
    assert click["target"]["id"] == "buy"


def test_a_prerendered_page_is_shown_when_it_is_activated(site: Site) -> None:
    site.put("/next", "<h1>Next</h1><button id=buy>Buy</button>", "fetch('/api/stock')")
    site.api("/api/stock")
    rules = '<script type=speculationrules>{"prerender": [{"urls": ["/next"], "eagerness": "immediate"}]}</script>'
    site.show("<a id=next href=/next>Next</a>", head=TAG + rules)

    def of_next() -> list[Event]:
        return [event for event in site.intake.events() if event["route"] == "/next"]

    site.wait_for(lambda: "GET /next" in site.asked)
    site.wait_for(lambda: "GET /api/stock" in site.asked)
    site.click("#next")
    site.wait_for(lambda: str(site.run("return location.pathname")) == "/next")
    assert site.run("return performance.getEntriesByType('navigation')[0].activationStart") > 0
    site.click("#buy")
    site.sent("click", 2)
    early = [event["eventType"] for event in of_next() if event["metadata"].get("prerendered")]
    assert {"navigation", "network"} <= set(early)
    seen = [event for event in of_next() if not event["metadata"].get("prerendered")]
    shown = [event for event in seen if event["eventType"] == "navigation"]
    assert [event["metadata"]["navigationType"] for event in shown] == ["link"]
    assert [event["target"]["id"] for event in seen if event["eventType"] == "click"] == ["buy"]
    assert len({event["sessionId"] for event in site.intake.events()}) == 1
