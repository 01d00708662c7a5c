"""Applications: routes, controls, what a page does when something works, what it sends by itself, and what its
collector tells. Nothing here breaks, and nothing here knows people.

Tasks are written as steps. A step is a control (``button#id 'Label'``), the call it makes (``op METHOD url median-ms``)
and what follows. ``{item}`` in routes and urls is an id of the thing at hand.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_CONTROL: Final = re.compile(r"(\w+)#([\w-]+) '([^']*)'")
_TAGS: Final = {"button": "BUTTON", "link": "A", "form": "FORM", "input": "INPUT", "slider": "INPUT", "tab": "LI"}


@dataclass(frozen=True, slots=True)
class Control:
    """Something to act on."""

    type: str
    id: str
    label: str

    @property
    def sent(self) -> dict[str, str]:
        """All that a collector could say of it."""
        selector = f"main .{self.id}" if self.type != "form" else f"form.{self.id}"
        tag = _TAGS.get(self.type, "DIV")
        return {"type": self.type, "id": self.id, "selector": selector, "tagName": tag, "label": self.label}


@dataclass(frozen=True, slots=True)
class Call:
    """A request; ``op`` names it even where all urls are the same."""

    op: str
    method: str
    url: str
    ms: float
    third_party: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a person does on the way to what they want."""

    control: Control
    call: Call | None = None
    to: str = ""  # the route that opens when it works; "" = the page stays
    fields: int = 0  # inputs filled before
    form: str = ""  # id of the form, where one is submitted
    times: tuple[int, int] = (1, 1)  # how often people do it in a row when all is well
    quick: bool = False  # those repetitions are a second or less apart (steppers, arrows)
    gets: int = 0  # further requests of the page that opens
    row: bool = False  # concerns one row of a list
    push_first: bool = False  # the route changes before the answer is there
    quiet: bool = False  # nothing on the page shows that it worked
    download: bool = False
    other: Control | None = None  # another control that leads to the same thing
    other_call: Call | None = None
    read_ms: float = 4_000  # median time on what precedes the act
    minor: bool = False  # the task can go on without it


@dataclass(frozen=True, slots=True)
class Task:
    """What a person may want; ``want`` is how much (0 to 1), ``weight`` how often."""

    name: str
    start: str
    want: float
    weight: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Background:
    """What a page does by itself, every so many milliseconds; with ``busy`` only in the minute after an input."""

    call: Call
    every: tuple[float, float]
    fails: float = 0.0
    status: int = 500
    routes: str = ""
    busy: bool = False
    error: str = ""  # a script error or a missing resource instead of a request
    error_type: str = "javascript"
    source: str = ""


@dataclass(frozen=True, slots=True)
class Collector:
    """What the application's collector tells. A poor one knows types, routes and failures."""

    aliases: bool = False
    target: tuple[str, ...] = ("type", "id", "selector", "tagName", "label")
    successes: bool = True
    durations: bool = True
    methods: bool = True
    urls: bool = True
    responded: bool = True
    pointer: bool = True
    states: bool = True  # click keys: clickCount, inputMethod, disabled, loading, selection
    seq: bool = True
    navigation_type: bool = True
    session_end: bool = True
    loading: bool = True
    page_load: bool = True
    inputs: bool = True
    scrolls: bool = True
    third_party: bool = True
    aborts: bool = True
    keys: bool = True
    seconds: bool = False  # timestamps of whole seconds
    epoch: bool = False  # timestamps as milliseconds


@dataclass(frozen=True, slots=True)
class Application:
    """A web application as its visitors and its collector see it."""

    name: str
    home: str
    tasks: tuple[Task, ...]
    collector: Collector
    background: tuple[Background, ...] = ()
    full_pages: bool = False  # every act loads a document; failures are pages
    graphql: bool = False  # refusals come with status 200 and errors in the body
    locks: bool = False  # a control is disabled while its request is pending
    spinner: bool = True
    shows: str = "toast"  # how a failure is shown: toast, page or nothing
    throws: bool = False  # a failed request is also an unhandled rejection
    retries: int = 0  # automatic retries of server errors, with backoff
    jitter: float = 0.35  # log deviation of latencies
    loss: float = 0.002  # chance that a request of the page itself fails
    login: str = ""
    help: str = "/help"
    noise: tuple[str, ...] = field(default=())

    @property
    def steps(self) -> Sequence[Step]:
        """All steps of all tasks."""
        return [step for task in self.tasks for step in task.steps]


def control(text: str) -> Control:
    """``button#save 'Save'`` as a control."""
    match = _CONTROL.fullmatch(text)
    if match is None:
        raise ValueError(f"not a control: {text!r}")
    return Control(*match.groups())


def call(text: str) -> Call:
    """``cart.add POST /api/cart 180`` as a call; a fifth word marks a third party."""
    op, method, url, ms, *third = text.split()
    return Call(op, method, url, float(ms), bool(third))


def step(
    what: str,
    request: str = "",
    to: str = "",
    *,
    fields: int = 0,
    form: str = "",
    times: tuple[int, int] = (1, 1),
    quick: bool = False,
    gets: int = 0,
    row: bool = False,
    push_first: bool = False,
    quiet: bool = False,
    download: bool = False,
    other: str = "",
    other_call: str = "",
    read_ms: float = 4_000,
    minor: bool = False,
) -> Step:
    """A step from its short notation."""
    return Step(
        control(what),
        call(request) if request else None,
        to,
        fields,
        form,
        times,
        quick,
        gets,
        row,
        push_first,
        quiet,
        download,
        control(other) if other else None,
        call(other_call) if other_call else None,
        read_ms,
        minor,
    )


def every(low_s: float, high_s: float, request: str, **more: object) -> Background:
    """A background activity that comes every ``low_s`` to ``high_s`` seconds."""
    return Background(call(request), (low_s * 1000, high_s * 1000), **more)  # type: ignore[arg-type]


_TAG = every(25, 90, "third.tag POST /g/collect 90 3p", fails=0.02, status=0)
_RESIZE = every(
    40, 400, "noise.resize GET - 0", error="ResizeObserver loop completed with undelivered notifications.", fails=1
)
_EXTENSION = every(
    60,
    900,
    "noise.extension GET - 0",
    error="Cannot read properties of null (reading 'getAttribute')",
    source="chrome-extension://kgjfgplpablkjnlkjmjdecgdpfankdle/content.js",
    fails=1,
)
_SCRIPT = every(90, 900, "noise.script GET - 0", error="Script error.", fails=1)
_IMAGE = every(
    20, 200, "noise.image GET - 0", error="404", error_type="resource", source="/static/img/thumb.webp", fails=1
)

_SHOP = Application(
    "shop",
    "/",
    (
        Task("browse", "/", 0.25, 3, (
            step("link#nav-category 'Shoes'", "list GET /api/products 220", "/category/shoes", gets=2, push_first=True),
            step("button#filter-size 'Size 42'", "list.filter GET /api/products 200", times=(1, 4)),
            step("link#product-card 'Trail runner'", "product GET /api/products/{item} 180", "/product/{item}", gets=2,
                 row=True, push_first=True),
            step("button#gallery-next 'Next picture'", times=(1, 7), quick=True, minor=True),
            step("button#wishlist 'Save for later'", "wish POST /api/wishlist 140", quiet=True, minor=True),
        )),
        Task("buy", "/product/{item}", 0.85, 4, (
            step("button#qty-plus 'One more'", times=(1, 6), quick=True, minor=True),
            step("button#add-to-cart 'Add to cart'", "cart.add POST /api/cart/items 190", row=True),
            step("link#cart 'Cart'", "cart.get GET /api/cart 160", "/cart", gets=1, push_first=True,
                 other="button#mini-cart 'Show cart'", other_call="cart.mini GET /api/cart/summary 120"),
            step("button#checkout 'Checkout'", "checkout.start POST /api/checkout 260", "/checkout/address"),
            step("button#to-delivery 'Continue'", "address POST /api/checkout/address 300", "/checkout/payment", fields=5,
                 form="address-form"),
            step("button#pay-now 'Pay now'", "psp.confirm POST /v1/payment_intents/confirm 900 3p", "/order/{item}",
                 fields=3, form="payment-form", gets=1, other="button#paypal 'Pay with wallet'",
                 other_call="psp.wallet POST /v2/checkout/orders 800 3p"),
        )),
        Task("edit cart", "/cart", 0.5, 2, (
            step("button#item-plus 'Increase'", "cart.qty PATCH /api/cart/items/{item} 150", times=(1, 5), quick=True,
                 row=True),
            step("button#coupon-apply 'Apply'", "coupon POST /api/cart/coupon 210", fields=1, form="coupon-form", minor=True),
            step("button#remove 'Remove'", "cart.remove DELETE /api/cart/items/{item} 160", row=True),
        )),
        Task("search", "/", 0.45, 2, (
            step("button#search 'Search'", "search GET /api/search 260", "/search", fields=1, form="search-form",
                 times=(1, 3)),
            step("link#result 'Result'", "product GET /api/products/{item} 180", "/product/{item}", gets=2, row=True),
        )),
    ),
    Collector(),
    (_TAG, _IMAGE, _RESIZE, every(30, 60, "price.poll GET /api/prices 80", routes="/product", fails=0.02),
     every(50, 70, "third.chat GET /chat/ping 120 3p", fails=0.05, status=503)),
    locks=True, login="/login",
)  # fmt: skip

_SAAS = Application(
    "saas",
    "/app",
    (
        Task("invite", "/app/members", 0.7, 2, (
            step("button#open-invite 'Invite people'", times=(1, 1)),
            step("button#send-invite 'Send invitation'", "InviteMember POST /graphql 320", fields=2, form="invite-form"),
        )),
        Task("settings", "/app/projects/{item}/settings", 0.65, 3, (
            step("tab#tab-billing 'Billing'", "BillingTab POST /graphql 240", "/app/projects/{item}/settings/billing"),
            step("button#toggle-alerts 'Alerts'", "ToggleAlerts POST /graphql 180", times=(1, 2), minor=True),
            step("button#save-settings 'Save'", "UpdateProject POST /graphql 350", fields=3, form="settings-form",
                 quiet=True),
        )),
        Task("clean up", "/app/items", 0.5, 3, (
            step("button#sort-date 'Date'", "ListItems POST /graphql 260", times=(1, 3)),
            step("button#delete-row 'Delete'", "DeleteItem POST /graphql 210", times=(1, 5), row=True),
            step("button#next-page 'Next page'", "ListItems POST /graphql 260", times=(1, 6), quick=True),
        )),
        Task("report", "/app/reports", 0.75, 2, (
            step("button#date-back 'Previous month'", times=(1, 7), quick=True),
            step("button#run-report 'Run report'", "RunReport POST /graphql 2600", read_ms=5_000),
            step("button#export-csv 'Export'", "ExportReport POST /graphql 1500", download=True, quiet=True,
                 other="button#export-pdf 'Export as PDF'", other_call="ExportPdf POST /graphql 1700"),
        )),
    ),
    Collector(urls=True, methods=True),
    (every(14, 16, "Notifications POST /graphql 90", fails=0.01), every(240, 300, "login.refresh POST /auth/token 110"),
     every(5, 8, "third.tag POST /batch 60 3p", fails=0.01, status=0), _EXTENSION),
    graphql=True, retries=1, login="/login", throws=True,
)  # fmt: skip

_BANK = Application(
    "bank",
    "/accounts",
    (
        Task("transfer", "/accounts", 0.95, 4, (
            step("link#new-transfer 'New transfer'", "transfer.form GET /transfer/new 420", "/transfer/new"),
            step("button#transfer-next 'Next'", "transfer.check POST /transfer/check 700", "/transfer/confirm", fields=4,
                 form="transfer-form"),
            step("button#transfer-confirm 'Confirm'", "transfer.confirm POST /transfer/confirm 1500", "/transfer/done",
                 fields=1, form="tan-form"),
        )),
        Task("statement", "/accounts", 0.6, 2, (
            step("link#account-row 'Current account'", "account GET /accounts/{item} 500", "/accounts/{item}", row=True),
            step("link#statement-pdf 'Statement'", "statement GET /accounts/{item}/statement.pdf 900", download=True,
                 quiet=True),
        )),
        Task("standing order", "/orders", 0.7, 1, (
            step("link#edit-order 'Edit'", "order.edit GET /orders/{item}/edit 450", "/orders/{item}/edit", row=True),
            step("button#save-order 'Save'", "order.save POST /orders/{item} 800", "/orders", fields=2, form="order-form"),
        )),
    ),
    Collector(target=("type", "id", "tagName"), responded=False, loading=False, pointer=False, seq=False),
    (every(110, 120, "login.keepalive POST /session/ping 70"),),
    full_pages=True, shows="page", spinner=False, login="/login", help="/contact",
)  # fmt: skip

_PLAYER = Application(
    "player",
    "/courses",
    (
        Task("watch", "/courses/{item}", 0.7, 3, (
            step("button#play 'Play'", "media.manifest GET /media/{item}/manifest.mpd 240"),
            step("button#seek-forward '10 seconds on'", "media.segment GET /media/{item}/segment 120", times=(2, 9),
                 quick=True),
            step("slider#volume 'Volume'", times=(1, 6), quick=True, minor=True),
            step("button#like 'Like'", "like POST /api/likes 130", minor=True, quiet=True),
            step("button#next-lesson 'Next lesson'", "lesson GET /api/lessons/{item} 230", "/courses/{item}/lesson", gets=1),
        )),
        Task("quiz", "/quiz/{item}", 0.75, 3, (
            step("button#answer 'Answer B'", times=(3, 9), quick=True),
            step("button#quiz-next 'Next'", "quiz.answer POST /api/quiz/answers 150", times=(3, 12), quick=True),
            step("button#quiz-finish 'Hand in'", "quiz.finish POST /api/quiz/{item}/finish 400", "/quiz/{item}/result",
                 gets=1),
        )),
        Task("comment", "/courses/{item}/lesson", 0.4, 1, (
            step("button#comment-send 'Send'", "comment POST /api/comments 200", fields=1, form="comment-form"),
        )),
    ),
    Collector(target=("type", "selector", "label"), epoch=True, inputs=False),
    (every(9, 11, "media.beacon POST /api/progress 60", routes="/courses", fails=0.01),
     every(4, 9, "media.chunk GET /media/chunk 90", routes="/courses", fails=0.01, status=404), _TAG, _SCRIPT),
    shows="nothing", throws=True,
)  # fmt: skip

_BOOKING = Application(
    "booking",
    "/",
    (
        Task("book", "/", 0.85, 4, (
            step("button#month-next 'Next month'", "calendar GET /api/availability 230", times=(1, 9), quick=True),
            step("button#adults-plus 'Adults +'", times=(1, 4), quick=True, minor=True),
            step("button#find 'Find rooms'", "rooms GET /api/rooms 1300", "/rooms", gets=2, form="search-form"),
            step("button#choose-room 'Choose'", "room.hold POST /api/holds 380", "/book/{item}/guest", row=True),
            step("button#guest-next 'Continue'", "guest POST /api/bookings/guest 320", "/book/{item}/pay", fields=4,
                 form="guest-form"),
            step("button#book-now 'Book now'", "psp.charge POST /charges 1100 3p", "/book/{item}/done", fields=3,
                 form="card-form"),
        )),
        Task("change", "/bookings", 0.7, 2, (
            step("link#booking-row 'Booking'", "booking GET /api/bookings/{item} 240", "/bookings/{item}", gets=1, row=True,
                 push_first=True),
            step("button#day 'Day'", times=(1, 5), quick=True),
            step("button#move-booking 'Move booking'", "booking.move PUT /api/bookings/{item} 500"),
        )),
        Task("map", "/rooms", 0.3, 2, (
            step("button#zoom-in 'Zoom in'", "third.tiles GET /tiles 90 3p", times=(2, 8), quick=True),
            step("link#photo 'Photo'", times=(1, 6), quick=True, minor=True),
        )),
    ),
    Collector(seq=False, aborts=False),
    (_TAG, _IMAGE, every(20, 40, "hold.poll GET /api/holds/mine 90", routes="/book", fails=0.02)),
    locks=True, retries=2,
)  # fmt: skip

_DESK = Application(
    "desk",
    "/inbox",
    (
        Task("answer", "/inbox", 0.75, 4, (
            step("link#ticket-row 'Ticket'", "ticket GET /api/tickets/{item} 210", "/tickets/{item}", gets=2, row=True,
                 push_first=True),
            step("button#macro 'Insert macro'", "macro GET /api/macros/{item} 120", minor=True),
            step("button#send-reply 'Send'", "reply POST /api/tickets/{item}/replies 330", fields=2, form="reply-form"),
        )),
        Task("upload", "/tickets/{item}", 0.7, 2, (
            step("button#attach 'Attach file'", fields=1),
            step("button#upload 'Upload'", "upload POST /api/files 3200", read_ms=2_000),
        )),
        Task("triage", "/inbox", 0.45, 3, (
            step("button#refresh 'Refresh'", "inbox GET /api/tickets 260", times=(1, 4)),
            step("button#assign 'Assign to me'", "assign PUT /api/tickets/{item}/assignee 190", times=(1, 6), row=True),
            step("button#close-ticket 'Close'", "close PUT /api/tickets/{item}/state 210", times=(1, 3), row=True),
        )),
    ),
    Collector(target=("type", "id", "label")),
    (every(3, 6, "autosave PUT /api/drafts 110", routes="/tickets", busy=True, fails=0.02, status=409),
     every(8, 12, "inbox.poll GET /api/tickets/changes 90", fails=0.02, status=503),
     every(25, 35, "presence GET /socket/presence 60", fails=0.06, status=0), _RESIZE),
    login="/login", throws=True,
)  # fmt: skip

_DOCS = Application(
    "docs",
    "/docs",
    (
        Task("look up", "/docs", 0.5, 4, (
            step("button#docs-search 'Search'", "search GET /search.json 90", fields=1, form="search", times=(1, 4)),
            step("link#hit 'Result'", "static.page GET /docs/{item} 70", "/docs/{item}", read_ms=5_000),
            step("button#copy-code 'Copy'", times=(1, 4), quick=True, read_ms=15_000, minor=True),
            step("link#next-page 'Next'", "static.page GET /docs/{item} 70", "/docs/{item}/next", times=(1, 5),
                 read_ms=12_000),
        )),
        Task("try", "/docs/playground", 0.55, 2, (
            step("button#run-example 'Run'", "playground POST /playground/run 900", times=(1, 5), read_ms=8_000),
            step("button#expand 'Show more'", times=(1, 6), quick=True, minor=True),
        )),
        Task("feedback", "/docs/{item}", 0.2, 1, (
            step("button#helpful 'Yes'", "feedback POST /feedback 150", quiet=True),
        )),
    ),
    Collector(loading=False, responded=False, session_end=False, page_load=False, seq=False),
    (_TAG, _EXTENSION), shows="nothing", spinner=False, help="/docs/faq",
)  # fmt: skip

_MOBILE = Application(
    "mobile",
    "/m",
    (
        Task("order", "/m/places", 0.8, 4, (
            step("link#place 'Noodle bar'", "menu GET /api/menu/{item} 600", "/m/places/{item}", gets=2, row=True,
                 push_first=True),
            step("button#add-dish 'Add'", "basket POST /api/basket 450", times=(1, 4)),
            step("button#to-basket 'Basket'", "basket.get GET /api/basket 400", "/m/basket", gets=1),
            step("button#order 'Order now'", "order POST /api/orders 1100", "/m/orders/{item}", fields=2, form="order-form",
                 other="button#pay-cash 'Pay cash'", other_call="order.cash POST /api/orders/cash 900"),
        )),
        Task("track", "/m/orders/{item}", 0.6, 3, (
            step("button#refresh-order 'Refresh'", "track GET /api/orders/{item} 500", times=(1, 5), read_ms=6_000),
            step("button#call-driver 'Message driver'", "message POST /api/messages 500", fields=1, form="message"),
        )),
        Task("rate", "/m/orders/{item}", 0.2, 1, (
            step("button#star 'Star'", times=(1, 5), quick=True),
            step("button#send-rating 'Send'", "rating POST /api/ratings 500", quiet=True),
        )),
    ),
    Collector(target=("type", "label"), pointer=False, epoch=True, page_load=False),
    (every(10, 15, "where.poll GET /api/orders/where 400", routes="/m/orders", fails=0.12, status=0), _SCRIPT, _TAG),
    jitter=0.9, loss=0.03, retries=1,
)  # fmt: skip

_LEGACY = Application(
    "legacy",
    "/index.jsp",
    (
        Task("customer", "/index.jsp", 0.7, 4, (
            step("button#find 'Find'", "find POST /customer/search.do 900", "/customer/list.do", fields=2, form="find",
                 times=(1, 2)),
            step("link#open 'Open'", "customer GET /customer/edit.do 800", "/customer/edit.do", row=True),
            step("button#save 'Save'", "customer.save POST /customer/save.do 1100", "/customer/view.do", fields=4,
                 form="edit"),
        )),
        Task("print", "/customer/list.do", 0.5, 2, (
            step("link#page 'Next page'", "list GET /customer/list.do 700", "/customer/list.do", times=(1, 6)),
            step("button#print 'Print'", "print GET /customer/print.do 2200", quiet=True, download=True),
        )),
        Task("month end", "/report/new.do", 0.9, 2, (
            step("button#compute 'Compute'", "report POST /report/run.do 3500", "/report/result.do", fields=3, form="report"),
            step("button#submit 'Submit'", "report.submit POST /report/submit.do 1200", "/report/done.do"),
        )),
    ),
    Collector(aliases=True, target=("type",), successes=False, methods=False, urls=False, responded=False, pointer=False,
              states=False, seq=False, navigation_type=False, session_end=False, loading=False, inputs=False, scrolls=False,
              third_party=False, aborts=False, keys=False, seconds=True, page_load=False),
    (_SCRIPT,), full_pages=True, shows="page", spinner=False, login="/login.jsp", help="/help.jsp",
)  # fmt: skip

_DRIVE = Application(
    "drive",
    "/files",
    (
        Task("share", "/files", 0.7, 3, (
            step("link#folder 'Folder'", "folder GET /api/folders/{item} 240", "/files/{item}", gets=1, row=True, times=(1, 3)),
            step("button#select 'Select'", times=(1, 8), quick=True),
            step("button#share 'Share'", "share POST /api/shares 300", fields=1, form="share-form",
                 other="button#copy-link 'Copy link'", other_call="share.link POST /api/links 200"),
        )),
        Task("upload", "/files/{item}", 0.8, 3, (
            step("button#choose-files 'Choose files'", fields=1),
            step("button#start-upload 'Upload'", "upload PUT /api/upload/{item} 4500",
                 other="button#simple-upload 'Simple upload'", other_call="upload.simple POST /api/upload-simple 5200"),
        )),
        Task("tidy", "/files", 0.45, 3, (
            step("button#rename 'Rename'", "rename PATCH /api/files/{item} 180", fields=1, times=(1, 3), row=True),
            step("button#download 'Download'", "download GET /api/files/{item}/content 700", download=True, quiet=True,
                 times=(1, 3), row=True),
            step("button#trash 'Delete'", "trash DELETE /api/files/{item} 200", times=(1, 6), row=True, quick=True),
        )),
    ),
    Collector(target=("type", "selector"), aliases=True, session_end=False, durations=False),
    (every(18, 25, "sync GET /api/changes 110", fails=0.02, status=502), every(55, 65, "login.refresh POST /auth/refresh 90"),
     _RESIZE, _EXTENSION),
    throws=True, locks=True,
)  # fmt: skip

APPLICATIONS: Final = (_SHOP, _SAAS, _BANK, _PLAYER, _BOOKING, _DESK, _DOCS, _MOBILE, _LEGACY, _DRIVE)
