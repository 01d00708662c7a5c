# ruff: noqa: E501  (pages are easier to read in one line)
"""furrow.js in Chromium: requests, errors, refused fields, and which press caused them."""

import time

import pytest
from selenium.webdriver import ActionChains

from tests.browser.sdk_site import TAG, Event, Site

pytestmark = pytest.mark.browser


def outcome(event: Event) -> tuple[object, ...]:
    data = event["metadata"]
    return data["method"], data["url"], data["status"], data.get("aborted"), data.get("thirdParty")


def causes(site: Site, kind: str, count: int) -> list[str | None]:
    """What each event of a type was caused by: the id of the control, or the type of the event."""
    return name_causes(site, site.sent(kind, count))


def name_causes(site: Site, found: list[Event]) -> list[str | None]:
    """The same of the events ``found``."""
    names = {
        event["eventId"]: str(event.get("target", {}).get("id") or event["eventType"]) for event in site.intake.events()
    }
    return [names.get(event.get("cause", "")) for event in found]


def test_requests_of_all_kinds(any_site: Site) -> None:
    any_site.api("/api/good")
    any_site.api("/api/broken", 503)
    any_site.api("/api/slow", wait=3)
    any_site.show(
        "<button id=go>Go</button>",
        """go.onclick = () => {
          fetch("/api/good?token=secret#x"); fetch(new Request("/api/broken", {method: "put"}));
          const call = new XMLHttpRequest(); call.open("DELETE", "/api/broken?card=1"); call.send();
          const stop = new AbortController(); fetch("/api/slow", {signal: stop.signal}).catch(() => 0); setTimeout(() => stop.abort(), 200);
          const old = new XMLHttpRequest(); old.open("GET", "/api/slow"); old.send(); setTimeout(() => old.abort(), 200);
          navigator.sendBeacon("/api/good", "x");
        };""",
    )
    any_site.click("#go")
    time.sleep(0.6)
    calls = any_site.sent("network", 6)
    assert sorted(outcome(call)[:4] for call in calls if call["metadata"]["url"] != "/api/good") == [
        ("DELETE", "/api/broken", 503, False),
        ("GET", "/api/slow", 0, True),
        ("GET", "/api/slow", 0, True),
        ("PUT", "/api/broken", 503, False),
    ]
    assert not any(call["metadata"]["thirdParty"] for call in calls)
    assert "secret" not in str(any_site.intake.batches)
    assert "card" not in str(any_site.intake.batches)
    assert all(0 <= call["metadata"]["durationMs"] < 3_000 for call in calls)
    assert {call.get("cause") for call in calls} == {any_site.sent("click")[0]["eventId"]}


def test_a_server_that_is_not_there(site: Site) -> None:
    site.show(
        "<button id=go>Go</button>",
        "go.onclick = () => fetch('http://127.0.0.1:1/api', {method: 'POST'}).catch(() => 0);",
    )
    site.click("#go")
    time.sleep(0.3)
    (call,) = site.sent("network")
    assert outcome(call) == ("POST", "/api", 0, False, True)


def test_errors_in_the_body_of_a_good_answer(any_site: Site) -> None:
    any_site.api("/graphql", body='{"data": null, "errors": [{"message": "a secret of the shop"}]}')
    any_site.api("/empty", body='{"errors": []}')
    any_site.api("/nested", body='{"data": {"errors": ["x"]}}')
    any_site.api("/text", body='{"errors": ["x"]}', kind="text/plain")
    any_site.api("/large", body='{"errors": ["x"], "more": "' + "x" * 70_000 + '"}')
    any_site.show(
        "<button id=go>Go</button><p id=out></p>",
        """go.onclick = async () => {
          const texts = [];
          for (const path of ["/graphql", "/empty", "/nested", "/text", "/large"]) texts.push((await (await fetch(path, {method: "POST"})).text()).length);
          for (const type of ["", "json"]) {
            const call = new XMLHttpRequest(); call.open("POST", "/graphql"); call.responseType = type; call.send();
            await new Promise((done) => { call.onload = done; });
          }
          out.textContent = texts;
        };""",
    )
    any_site.click("#go")
    any_site.wait_for(lambda: bool(any_site.run("return out.textContent")))
    assert any_site.run("return out.textContent") == "63,14,27,17,70029"  # the page reads whole bodies
    calls = any_site.sent("network", 7)
    flagged = [call["metadata"]["url"] for call in calls if call["metadata"].get("bodyError")]
    assert flagged == ["/graphql"] * 3
    assert "a secret" not in str(any_site.intake.batches)


def test_the_page_sees_its_own_requests_unchanged(site: Site) -> None:
    site.api("/api/one", body='{"one": 1}')
    site.show("<p>x")
    result = site.run(
        """const seen = [];
        const handler = (event) => { seen.push("unhandled " + event.reason.name); };
        addEventListener("unhandledrejection", handler);
        const call = fetch("/api/one");
        const stop = new AbortController();
        fetch("/api/one", {signal: stop.signal}); stop.abort(new DOMException("my own", "TimeoutError"));
        return call.then((answer) => answer.json()).then(async (json) => {
          await fetch("http://127.0.0.1:1/").catch((error) => seen.push("caught " + error.constructor.name));
          await new Promise((done) => setTimeout(done, 50));
          return [json.one, call instanceof Promise, fetch.name, fetch.length, String(fetch).includes("[native code]"),
            XMLHttpRequest.prototype.send.name, new XMLHttpRequest().constructor === XMLHttpRequest, history.pushState.name,
            Object.getOwnPropertyNames(window).includes("furrow"), seen.sort().join()];
        });"""
    )
    assert result == [
        1,
        True,
        "fetch",
        1,
        True,
        "send",
        True,
        "pushState",
        True,
        "caught TypeError,unhandled TimeoutError",
    ]


def test_a_cause_goes_through_ready_promises_and_no_further(any_site: Site) -> None:
    any_site.api("/api")
    any_site.show(
        "<button id=waits>Waits</button><button id=later>Later</button><button id=parent><b id=inner>Both</b></button>",
        """waits.onclick = async () => { await null; await Promise.resolve().then(() => 1); fetch("/api/waits"); };
        later.onclick = () => { setTimeout(() => fetch("/api/later"), 0); };
        inner.onclick = (event) => { event.stopImmediatePropagation(); fetch("/api/inner"); };
        setInterval(() => fetch("/api/poll"), 20);""",
    )
    for selector in ("#waits", "#later", "#inner"):
        any_site.click(selector)
    time.sleep(0.3)
    any_site.run("fetch('/api/nobody')")
    # Polls alone are five requests, and a batch may overtake an earlier one.
    any_site.leave()
    wanted = {"/api/waits", "/api/later", "/api/inner", "/api/nobody", "/api/poll"}
    any_site.wait_for(lambda: wanted <= {event["metadata"].get("url") for event in any_site.intake.events()})
    found = any_site.sent("network", 5)
    caused = dict(zip([event["metadata"]["url"] for event in found], name_causes(any_site, found), strict=True))
    assert caused["/api/waits"] == "waits"
    assert caused["/api/inner"] == "parent"
    assert (caused["/api/later"], caused["/api/poll"], caused["/api/nobody"]) == (None, None, None)


def test_a_timer_that_was_due_before_the_click_is_not_caused_by_it(site: Site) -> None:
    site.api("/api")
    site.show(
        "<button id=go>Go</button>",
        """setInterval(() => { fetch("/api/poll"); const end = performance.now() + 60; while (performance.now() < end); }, 1);""",
    )
    site.click("#go", 6, 0.03)
    assert set(causes(site, "network", 6)) == {None}


def test_a_click_that_a_script_makes_passes_its_cause_on(site: Site) -> None:
    site.api("/api")
    site.show(
        "<button id=go>Go</button><a id=other>x</a>",
        "go.onclick = () => other.click(); other.onclick = () => fetch('/api');",
    )
    site.click("#go")
    assert causes(site, "network", 1) == ["go"]
    assert len(site.sent("click")) == 1


def test_errors_of_scripts_and_promises(any_site: Site) -> None:
    any_site.api("/lib/shop.js", body="function pay() { null.total; }", kind="text/javascript")
    any_site.show(
        "<script src='/lib/shop.js?v=3&at=10:30&to=https://x/?key=hush'></script><button id=throws>T</button>"
        "<button id=rejects>R</button><button id=odd>O</button>",
        """throws.onclick = () => pay();
        rejects.onclick = async () => { await null; throw new Error("order 1234567 of ada@example.org"); };
        odd.onclick = () => Promise.reject({card: "4111"});""",
    )
    for selector in ("#throws", "#rejects", "#odd"):
        any_site.click(selector)
        time.sleep(0.1)
    assert causes(any_site, "error", 3) == ["throws", "rejects", "odd"]
    thrown, rejected, odd = any_site.sent("error", 3)
    assert thrown["metadata"]["errorType"] == "javascript"
    assert thrown["metadata"]["message"].startswith("Uncaught TypeError: Cannot read properties of null")
    assert thrown["metadata"]["frame"] == f"{any_site.address}/lib/shop.js:1:23"
    assert thrown["metadata"]["source"] == f"{any_site.address}/lib/shop.js"
    assert (rejected["metadata"]["errorType"], rejected["metadata"]["message"]) == (
        "promise",
        "order [number] of [email]",
    )
    assert "4111" not in str(odd)


def test_files_that_do_not_load_and_foreign_errors(any_site: Site) -> None:
    any_site.show(
        "<script src=/gone.js></script><link rel=stylesheet href=/gone.css><img src=/gone.png><img src=data:image/png,hush>",
        """setTimeout(() => { throw new Error("own") });
        dispatchEvent(new ErrorEvent("error", {message: "Script error."}));
        dispatchEvent(new ErrorEvent("error", {message: "of an extension", filename: "chrome-extension://abc/x.js", lineno: 1}));
        for (let i = 0; i < 100; i++) dispatchEvent(new ErrorEvent("error", {message: "in a loop", filename: location.href}));""",
    )
    time.sleep(0.4)
    errors = any_site.sent("error", 6)
    files = {error["metadata"]["element"]: error for error in errors if "element" in error["metadata"]}
    assert {file["metadata"]["errorType"] for file in files.values()} == {"resource"}
    assert set(files) == {"script", "link", "img"}
    assert files["script"]["metadata"]["source"].endswith("/gone.js")
    assert files["img"]["metadata"]["source"].endswith("/gone.png")
    assert "hush" not in str(any_site.intake.batches)
    foreign = {error["metadata"]["message"] for error in errors if error["metadata"]["thirdParty"]}
    assert foreign == {"Script error.", "of an extension"}
    assert len([error for error in errors if error["metadata"]["message"] == "in a loop"]) == 20


def test_what_a_security_policy_blocks(site: Site) -> None:
    site.show(
        "<p>x",
        "fetch('http://127.0.0.2:1/api').catch(() => 0)",
        headers={"content-security-policy": "connect-src 'self'"},
    )
    time.sleep(0.2)
    (error,) = site.sent("error")
    assert "connect-src" in error["metadata"]["message"]


def test_fields_that_the_browser_refuses(any_site: Site) -> None:
    any_site.show(
        "<form id=order><input id=name required><input id=mail type=email value=nonsense><button id=send>Send</button></form>",
        "order.checkValidity();",  # asking is no try
    )
    any_site.click("#send")
    refused = any_site.sent("error", 2)
    assert [(event["target"]["id"], event["metadata"]["message"]) for event in refused] == [
        ("name", "valueMissing"),
        ("mail", "typeMismatch"),
    ]
    assert causes(any_site, "error", 2) == ["send", "send"]
    (submit,) = any_site.sent("form_submit")
    assert submit["metadata"]["valid"] is False
    assert submit["target"]["id"] == "order"
    assert "nonsense" not in str(any_site.intake.batches)


def test_fields_that_the_page_refuses(any_site: Site) -> None:
    any_site.show(
        """<form id=order novalidate><input id=zip><div id=hint role=status></div><button>Send</button></form><div id=note></div>""",
        """order.onsubmit = (event) => { event.preventDefault(); setTimeout(() => {
            zip.setAttribute("aria-invalid", "true");
            note.innerHTML = "<div role=alert class='alert alert-danger'>That did not work</div>"; }, 100); };
        setTimeout(() => { note.innerHTML = "<div role=alert class=success>Welcome</div>"; }, 100);""",
    )
    time.sleep(0.2)
    any_site.click("#order button")
    time.sleep(0.4)
    refused = any_site.sent("error", 2)
    assert [event["metadata"]["message"] for event in refused] == ["aria-invalid", "alert"]
    assert causes(any_site, "error", 2) == ["order", "order"]
    assert [event["metadata"]["valid"] for event in any_site.sent("form_submit")] == [True]


def test_an_alert_after_a_press_outside_of_forms(site: Site) -> None:
    site.show(
        "<button id=join>Join</button><div id=note></div>",
        """join.onclick = () => { note.innerHTML = "<p role=alert class=error-text>Not now</p>"; };""",
    )
    site.click("#join")
    assert causes(site, "error", 1) == ["join"]


def test_fields_are_named_and_never_read(any_site: Site) -> None:
    any_site.show(
        "<label>Name <input id=name></label><input id=secret type=password><select id=size><option>S<option>M</select>"
    )
    any_site.click("#name")
    ActionChains(any_site.browser).send_keys("Lovelace").perform()
    any_site.click("#secret")
    ActionChains(any_site.browser).send_keys("hunter2").perform()
    any_site.click("#name")
    found = [
        (e["target"]["id"], e["metadata"]["action"], e["metadata"]["fieldType"]) for e in any_site.sent("input", 7)
    ]
    assert found[:3] == [("name", "focus", "text"), ("name", "change", "text"), ("name", "blur", "text")]
    assert ("secret", "change", "password") in found
    assert "Lovelace" not in str(any_site.intake.batches)
    assert "hunter2" not in str(any_site.intake.batches)


def test_blocked_is_announced_in_the_page(any_site: Site) -> None:
    any_site.api("/api/orders/17", 500)
    any_site.api("/api/fine", 200)
    any_site.show(
        "<button id=pay>Pay</button><button id=fine>Fine</button>",
        """window.heard = [];
        addEventListener("furrow:blocked", ({target, detail}) => heard.push([target.id, detail.request.method, detail.request.url, detail.status, detail.attempts, detail.control.id]));
        pay.onclick = async () => { await fetch("/api/orders/17", {method: "POST"}); };
        fine.onclick = () => fetch("/api/fine");""",
    )
    any_site.click("#pay")
    time.sleep(0.2)
    assert any_site.run("return heard") == []
    for _ in range(2):
        any_site.click("#fine")
        any_site.click("#pay")
        time.sleep(0.2)
    any_site.wait_for(lambda: len(any_site.run("return heard")) == 2)
    assert any_site.run("return heard") == [
        ["pay", "POST", "/api/orders/17", 500, attempts, "pay"] for attempts in (2, 3)
    ]


def test_what_only_the_application_knows(site: Site) -> None:
    site.show(
        "<button id=send>Send</button>",
        "send.onclick = () => { furrow.failed('message', 'the socket is closed'); furrow.achieved('draft'); };",
    )
    site.click("#send")
    calls = site.sent("network", 2)
    assert [(outcome(call)[:3], call["metadata"].get("bodyError")) for call in calls] == [
        (("APP", "/message", 200), True),
        (("APP", "/draft", 200), False),
    ]
    assert causes(site, "network", 2) == ["send", "send"]


def test_functions_that_are_frozen_stay_as_they_are(site: Site) -> None:
    site.api("/api")
    head = (
        "<script>for (const one of [XMLHttpRequest, Element, Clipboard]) Object.freeze(one.prototype);</script>" + TAG
    )
    site.show(
        "<button id=go>Go</button><p id=out></p>",
        """go.onclick = () => { const call = new XMLHttpRequest(); call.open("GET", "/api");
          call.onload = () => { out.textContent = call.responseText; }; call.send(); fetch("/api"); };""",
        head=head,
    )
    site.click("#go")
    site.wait_for(lambda: site.run("return out.textContent") == "{}")
    assert len(site.sent("network", 1)) == 1  # fetch is no prototype's
    assert len(site.sent("click")) == 1
