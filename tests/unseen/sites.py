"""The four made-up applications: what they are called inside, what they send, and in which dialect they tell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final


@dataclass(frozen=True)
class Control:
    """Something a person can act on; ``kind`` is what a collector calls its type."""

    name: str
    label: str
    kind: str = "button"


@dataclass(frozen=True)
class Step:
    """An action that asks the server: where it is, its control, its request, and the page that follows success."""

    route: str
    control: Control
    url: str
    operation: str
    then: str = ""
    fields: tuple[str, ...] = ()
    method: str = "POST"


@dataclass(frozen=True)
class Site:
    """One application. ``style`` is rest, graphql, documents (every answer is a new page) or legacy (seed words)."""

    key: str
    style: str
    home: str
    listing: str
    item: str
    aside: str
    data: str
    login: Step
    search: Step
    finish: Step
    small: Step
    other_way: Step
    upload: Step
    extras: Mapping[str, str] = field(default_factory=dict)

    @property
    def rich(self) -> bool:
        """Whether the collector sends metadata at all."""
        return self.style != "legacy"

    def target(self, control: Control) -> dict[str, str]:
        """The control as this site's collector describes it."""
        tag = {"link": "A", "textbox": "INPUT", "form": "FORM", "text": "P"}.get(control.kind, "BUTTON")
        if self.style == "rest":
            selector = f"{tag.lower()}#{control.name}"
            named = {"id": control.name, "selector": selector, "tagName": tag, "label": control.label}
        elif self.style == "graphql":
            named = {"selector": f'[data-testid="{control.name}"]', "label": control.label}
        elif self.style == "documents":
            named = {"id": control.name, "tagName": tag}
        else:
            named = {}
        return {"type": control.kind, **named}

    def name_of(self, control: Control) -> str:
        """What a label calls the control: its name in the id or selector sent, nothing where only the type was."""
        return control.name if self.rich else ""

    def clock(self, ms: int, whole_seconds: bool) -> str | int:
        """A time as this site writes it."""
        if self.style == "graphql":
            return ms
        moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
        if self.style == "documents":
            return moment.astimezone(timezone(timedelta(hours=2))).isoformat(timespec="microseconds")
        return moment.isoformat(timespec="seconds" if whole_seconds else "milliseconds").replace("+00:00", "Z")

    def words(self, kind: str, meta: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Event type and metadata as sent; None when this collector does not know such a thing."""
        if self.rich:
            sent = dict(meta)
            if self.style == "graphql" and "x" in sent:
                sent["clientX"], sent["clientY"] = sent.pop("x"), sent.pop("y")
            if self.style != "rest":
                sent.pop("responded", None)
            return kind, sent
        if meta.get("thirdParty") or meta.get("aborted") or kind in ("visibility", "loading"):
            return None
        if kind == "network":
            return ("network_error" if failed(meta["status"]) else "network_success"), {}
        if kind == "input":
            return {"focus": "input_focus", "blur": "input_blur"}.get(meta["action"], "input"), {}
        if kind == "performance":
            return None if meta["kind"] == "page_load" else (meta["kind"], {})
        if kind == "error":
            return ("unhandled_rejection" if meta["errorType"] == "promise" else "error"), {}
        return {"navigation": "route_change"}.get(kind, kind), {}


def failed(status: int) -> bool:
    """Whether an HTTP status is a failure; 0 is an answer that never came."""
    return status == 0 or status >= 400


def _shop() -> Site:
    api, lamp = "/api/v2", "/lamps/318"
    return Site(
        "shop", "rest", "/", "/lamps", "/lamps/{}", "/help/delivery", f"{api}/catalogue",
        Step("/sign-in", Control("sign-in", "Sign in"), f"{api}/sessions", "", "/", ("email", "password")),
        Step("/search", Control("search-go", "Search"), f"{api}/search", "", "", ("query",), "GET"),
        Step("/checkout", Control("place-order", "Place order"), f"{api}/orders", "", "/orders/thanks",
             ("street", "postcode", "city", "card")),
        Step(lamp, Control("add-to-basket", "Add to basket"), f"{api}/basket/items", ""),
        Step("/checkout/invoice", Control("order-on-invoice", "Order on invoice"), f"{api}/invoice-orders", "",
             "/orders/thanks", ("company",)),
        Step("/returns/new", Control("attach-photo", "Attach photo"), f"{api}/returns/photos", ""),
    )  # fmt: skip


def _trips() -> Site:
    url, trip = "/graphql", "/trips/48121"
    return Site(
        "trips", "graphql", "/trips", "/places", "/places/{}", "/inspiration", url,
        Step("/login", Control("login-submit", "Log in"), url, "LogIn", "/trips", ("email", "password")),
        Step("/places", Control("places-search", "Find places"), url, "FindPlaces", "", ("query",)),
        Step(f"{trip}/edit", Control("trip-save", "Save trip"), url, "SaveTrip", trip, ("title", "from", "to", "notes")),
        Step(trip, Control("trip-share", "Share with group"), url, "ShareTrip"),
        Step(f"{trip}/quick", Control("trip-quick", "Quick save"), url, "QuickSaveTrip", trip, ("title",)),
        Step(f"{trip}/files", Control("file-add", "Add ticket"), url, "UploadTicket"),
    )  # fmt: skip


def _bank() -> Site:
    pay = "/banking/transfer/new"
    return Site(
        "bank", "documents", "/banking", "/banking/accounts", "/banking/accounts/{}", "/banking/rates", "/banking/page",
        Step("/banking/login", Control("btnLogin", "Log in"), "/banking/login", "", "/banking", ("user", "pin")),
        Step("/banking/entries", Control("btnFind", "Find"), "/banking/entries/find", "", "", ("text",)),
        Step(pay, Control("btnExecute", "Execute"), pay, "", "/banking/transfer/done", ("name", "iban", "sum", "ref")),
        Step("/banking/cards/77", Control("btnLimit", "Change limit"), "/banking/cards/77/limit", ""),
        Step("/banking/transfer/template", Control("btnTemplate", "Use template"), "/banking/transfer/template", "",
             "/banking/transfer/done", ("sum",)),
        Step("/banking/documents", Control("btnUpload", "Send document"), "/banking/documents/send", ""),
    )  # fmt: skip


def _legacy() -> Site:
    return Site(
        "claims", "legacy", "/start", "/claims", "/claims/{}", "/faq", "/data",
        Step("/logon", Control("a", "", "button"), "/logon", "", "/start", ("a", "b")),
        Step("/find", Control("b", "", "button"), "/find", "", "", ("a",)),
        Step("/claims/new", Control("c", "", "button"), "/claims", "", "/claims/received", ("a", "b", "c", "d")),
        Step("/profile", Control("d", "", "button"), "/profile", ""),
        Step("/claims/short", Control("e", "", "button"), "/claims/short", "", "/claims/received", ("a",)),
        Step("/claims/12/papers", Control("f", "", "button"), "/claims/12/papers", ""),
    )  # fmt: skip


SITES: Final[Mapping[str, Site]] = {"S": _shop(), "G": _trips(), "B": _bank(), "L": _legacy()}
"""By the letter with which a kind names the sites it can be told on."""
