# ruff: noqa: E501  (pages are easier to read in one line)
"""furrow.js in Chromium: which control was pressed, how, and whether the page answered."""

import time

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.sdk_site import Event, Site

pytestmark = pytest.mark.browser

PAY = "<button id=pay><svg width=20 height=20><path d='M0 0h20v20z'/></svg> Pay <b>now</b></button>"


def names(clicks: list[Event]) -> list[str | None]:
    return [click["target"].get("id") for click in clicks]


def responded(clicks: list[Event], verdicts: list[Event]) -> list[bool | None]:
    known = {verdict["verdictFor"]: verdict["metadata"]["responded"] for verdict in verdicts}
    return [click["metadata"].get("responded", known.get(click["eventId"])) for click in clicks]


def judged(site: Site, count: int = 1) -> list[bool | None]:
    """Whether each click was answered, once a second has passed."""
    time.sleep(1.3)
    clicks = site.sent("click", count)
    return responded(clicks, [event for event in site.intake.events() if event["eventType"] == "verdict"])


def test_a_part_of_a_control_is_the_control(any_site: Site) -> None:
    any_site.show(PAY)
    any_site.click("#pay path")
    any_site.click("#pay b")
    clicks = any_site.sent("click", 2)
    assert [click["target"] for click in clicks] == [
        {"type": "button", "id": "pay", "tagName": "button", "label": "Pay now"}
    ] * 2
    assert clicks[0]["metadata"]["inputMethod"] == "mouse"
    assert clicks[0]["metadata"]["x"] > 0
    assert clicks[0]["route"] == "/shop"


def test_a_control_in_shadow_roots(any_site: Site) -> None:
    any_site.show(
        "<shop-card data-testid=card></shop-card>",
        """
        class Card extends HTMLElement { connectedCallback() {
          this.attachShadow({mode: "open"}).innerHTML = "<div><shop-button></shop-button></div>"; } }
        class Button extends HTMLElement { connectedCallback() {
          this.attachShadow({mode: "open"}).innerHTML = "<button class=css-1x2y3z><span>Add</span></button>"; } }
        customElements.define("shop-button", Button); customElements.define("shop-card", Card);
        """,
    )
    any_site.click("shop-card")
    inner = any_site.run(
        "return document.querySelector('shop-card').shadowRoot.querySelector('shop-button').shadowRoot.querySelector('span')"
    )
    ActionChains(any_site.browser).move_to_element(inner).click().perform()
    clicks = any_site.sent("click", 2)
    assert clicks[1]["target"] == {"type": "button", "id": "card", "tagName": "button", "label": "Add"}


def test_a_label_and_its_field_are_one_click(any_site: Site) -> None:
    any_site.show(
        "<label>I <b>agree</b> <input type=checkbox id=terms></label><p><label for=news>News</label><input type=checkbox id=news>"
    )
    any_site.click("label b")
    any_site.click("label[for=news]")
    any_site.click("#news")
    clicks = any_site.sent("click", 3)
    assert names(clicks) == ["terms", "news", "news"]
    assert [click["target"]["label"] for click in clicks] == ["I agree", "News", "News"]


@pytest.mark.parametrize(
    ("href", "kind"),
    [("/orders", "link"), ("#/orders", "link"), ("#", "button"), ("javascript:void(0)", "button"), ("", "button")],
)
def test_a_link_that_leads_to_a_page_is_a_link_though_it_is_called_a_button(site: Site, href: str, kind: str) -> None:
    """One-page applications give the links of their menus the role of a button; others make buttons of links to nowhere."""
    site.show(f"<a id=go role=button href='{href}'>Orders</a>", "go.onclick = e => e.preventDefault();")
    site.click("#go")
    assert site.sent("click")[0]["target"]["type"] == kind


@pytest.mark.parametrize(
    ("attributes", "id_sent"),
    [
        ("id=checkout", "checkout"),
        ("id=add-to-cart", "add-to-cart"),
        ("id=step-2", "step-2"),
        ("name=coupon", "coupon"),
        ("data-cy=send id=x", "send"),
        ("data-test=buy", "buy"),
        ("data-furrow=save id=other", "save"),
        ("id=:r3:", None),
        ("id=«r1f»", None),
        ("id=_r_4_", None),
        ("id=ember12", None),
        ("id=mat-input-4", None),
        ("id=css-1x2y3z", None),
        ("id=radix-:r1:", None),
        ("id=headlessui-menu-button-3", None),
        ("id=react-select-2-input", None),
        ("id=el-id-1024-3", None),
        ("id=f81d4fae-7dec-11d0-a765-00a0c91e6bf6", None),
        ("id=a3f9c2e17b", None),
        ("id=button-19482", None),
    ],
)
def test_generated_ids_name_nothing(site: Site, attributes: str, id_sent: str | None) -> None:
    site.show(f"<form id=basket><button type=button class='btn primary css-9ab3k2' {attributes}>Go on</button></form>")
    site.click("button")
    (click,) = site.sent("click")
    assert click["target"].get("id") == id_sent
    if id_sent is None:
        assert click["target"]["selector"] == "#basket button[type=button].btn.primary"


def test_labels_never_hold_what_was_typed(any_site: Site) -> None:
    any_site.show(
        """<input id=name aria-label="Your name"><textarea id=note placeholder=Note></textarea>
        <div id=editor contenteditable style="min-height:20px;width:300px"></div>
        <div contenteditable><a id=within href="#y">Lovelace</a></div>
        <button id=mixed>Send <span contenteditable>x</span></button><a href="#x" data-furrow-mask id=mail>ada@example.org</a>
        <button id=icon aria-label=Close>×</button><button id=by aria-labelledby="t"></button><p id=t>Title of it</p>""",
    )
    for selector in ("#name", "#note", "#editor", "#mixed span"):
        any_site.click(selector)
        ActionChains(any_site.browser).send_keys("Lovelace").perform()
    for selector in ("#name", "#mixed", "#mail", "#icon", "#by", "#within"):
        any_site.click(selector)
    clicks = any_site.sent("click", 10)
    labels = {click["target"]["id"]: click["target"].get("label") for click in clicks if "id" in click["target"]}
    assert "Lovelace" not in str(any_site.intake.batches)
    assert (labels["name"], labels["icon"], labels["by"], labels["mail"]) == ("Your name", "Close", "Title of it", None)


def test_presses_that_a_switched_off_control_swallows(any_site: Site) -> None:
    any_site.show(
        """<button id=once>Order</button><p><button id=off disabled><b>Off</b></button>
        <p><button id=faint aria-disabled=true>Faint</button><p><a id=none href="#" style="pointer-events:none">None</a>""",
        "once.onclick = () => { once.disabled = true; };",
    )
    any_site.click("#once", 9, 0.1)
    for selector in ("#off b", "#faint", "#none"):
        any_site.click(selector)
    clicks = any_site.sent("click", 12)
    assert names(clicks) == ["once"] * 9 + ["off", "faint", "none"]
    assert [click["metadata"]["disabled"] for click in clicks] == [False] + [True] * 11


def test_a_name_that_changes_under_the_finger(any_site: Site) -> None:
    any_site.show(
        """<div id=at style="position:relative;width:200px"><button class=add>Add to basket</button></div>""",
        """const add = document.querySelector(".add");
        add.onclick = () => { add.textContent = "Adding…"; setTimeout(() => {
          const cover = document.createElement("div"); cover.style = "position:absolute;inset:0;background:#eee";
          document.getElementById("at").append(cover); }, 150); };""",
    )
    any_site.click(".add", 2, 0.05)
    time.sleep(0.3)
    ActionChains(any_site.browser).click().perform()
    clicks = any_site.sent("click", 3)
    assert {click["target"]["label"] for click in clicks} == {"Add to basket"}
    assert [click["metadata"].get("obscured") for click in clicks] == [None, None, True]


def test_how_it_was_pressed(any_site: Site) -> None:
    any_site.show(
        "<button id=go aria-busy=true>Go</button><form><input id=q><button id=send>Send</button></form>",
        "document.forms[0].onsubmit = e => e.preventDefault();",
    )
    any_site.run("document.getElementById('go').focus()")
    ActionChains(any_site.browser).send_keys(Keys.ENTER).perform()
    ActionChains(any_site.browser).key_down(Keys.CONTROL).click(any_site.find("#go")).key_up(Keys.CONTROL).perform()
    any_site.run("document.getElementById('q').focus()")
    ActionChains(any_site.browser).send_keys(Keys.ENTER).perform()
    clicks = any_site.sent("click", 3)
    assert names(clicks) == ["go", "go", "send"]
    assert [click["metadata"]["inputMethod"] for click in clicks] == ["keyboard", "mouse", "keyboard"]
    assert clicks[1]["metadata"]["modifiers"] == "ctrl"
    assert [click["metadata"]["loading"] for click in clicks] == [True, True, False]


def test_what_is_to_be_ignored(site: Site) -> None:
    site.show(
        "<div data-furrow-ignore><button id=a>A</button></div><button id=b>B</button><button id=c class=quiet>C</button>",
        head="<script src=/furrow.js data-key=k data-ignore=.quiet></script>",
    )
    for selector in ("#a", "#c", "#b"):
        site.click(selector)
    assert names(site.sent("click")) == ["b"]


ANSWERS = {
    "text": "out.textContent = 'done'",
    "dialog": "box.showModal()",
    "class of another element": "out.className = 'open'",
    "focus": "field.focus()",
    "hash": "location.hash = 'x'",
    "push": "history.pushState(1, '', '/other')",
    "scroll": "scrollTo(0, 500)",
    "alert": "alert('hello')",
    "file chooser": "chooser.click()",
    "clipboard": "navigator.clipboard.writeText('x').catch(() => 0)",
    "shadow root": "host.shadowRoot.textContent = 'done'",
    "late": "setTimeout(() => { out.textContent = 'done' }, 500)",
}
NO_ANSWERS = {
    "nothing": "",
    "a request": "fetch('/api/nothing')",
    "what nobody sees": "unseen.textContent = Math.random()",
    "a script": "document.head.append(document.createElement('script')); document.body.append(document.createElement('script'))",
    "a ripple": "const r = document.createElement('span'); r.className = 'MuiTouchRipple'; out.append(r)",
    "its focus ring": "go.classList.add('focus-visible')",
    "it disables itself": "go.disabled = true",
    "too late": "setTimeout(() => { out.textContent = 'done' }, 1150)",
}
ANSWER_PAGE = """<div style="height:3000px"><button id=go>Go</button><p id=out>-</p><dialog id=box>Box</dialog>
<input id=field><input type=file id=chooser hidden><div id=host></div><div id=unseen hidden>-</div></div>"""


@pytest.mark.parametrize("does", ANSWERS)
def test_what_answers_a_click(site: Site, does: str) -> None:
    script = f"host.attachShadow({{mode: 'closed'}}); go.onclick = () => {{ {ANSWERS[does].replace('host.shadowRoot', 'inner')} }};"
    site.show(ANSWER_PAGE, script.replace("host.attachShadow", "const inner = host.attachShadow"))
    time.sleep(0.2)
    site.click("#go")
    if does == "alert":
        site.browser.switch_to.alert.accept()
    assert judged(site) == [True]


@pytest.mark.parametrize("does", NO_ANSWERS)
def test_what_is_no_answer(site: Site, does: str) -> None:
    site.api("/api/nothing")
    site.show(ANSWER_PAGE, f"go.onclick = () => {{ {NO_ANSWERS[does]} }};")
    time.sleep(0.2)
    site.click("#go")
    assert judged(site) == [False]


def test_what_moves_by_itself_answers_nothing(any_site: Site) -> None:
    any_site.show(
        """<button id=dead>Dead</button><button id=live>Live</button><p id=clock>0</p><ul id=slides><li class=on>1<li>2<li>3<li>4</ul>
        <p id=out>-</p>""",
        """let n = 0; setInterval(() => { clock.textContent = ++n;
          slides.children[(n - 1) % 4].className = ""; slides.children[n % 4].className = "on"; }, 300);
        live.onclick = () => { out.textContent += "!"; };""",
    )
    time.sleep(2.5)
    any_site.click("#dead")
    time.sleep(1.2)
    any_site.click("#live")
    assert judged(any_site, 2) == [False, True]


def test_a_canvas_leaves_the_answer_unknown(site: Site) -> None:
    site.show("<button id=go>Zoom</button><canvas></canvas>")
    site.click("#go")
    assert judged(site) == [None]
