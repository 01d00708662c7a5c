"""People at the pages of a running collector: they sign in, read, and send forms."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx

from stores.incidents.incident_store import AnalysedSession, Cursor, IncidentStore, TouchedSession
from tests.integration.api_cases import SHOP

ALLOWED = {"html", "head", "meta", "title", "link", "script", "body", "a", "header", "svg", "path", "nav", "div", "span",
           "button", "form", "main", "h1", "h2", "h3", "p", "code", "pre", "table", "thead", "tbody", "tr", "th", "td",
           "dl", "dt", "dd",
           "ul", "ol", "li", "section", "aside", "input", "label", "select", "option", "datalist", "noscript", "circle", "rect",
           "line", "g", "text", "i", "b", "small", "br", "kbd", "dialog", "time", "details", "summary", "textarea"}  # fmt: skip


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in ALLOWED and tag != "title":
            self.wrong.append(f"<{tag}>")
        if tag == "script" and not (values.get("src") or "").startswith("/assets/"):
            self.wrong.append("a script of another place")
        for name, value in attrs:
            outside = name in ("href", "src", "action") and not re.match(r"/|#|https?://", value or "")
            if name.startswith("on") or name in ("style", "srcdoc") or outside:
                self.wrong.append(f"{tag} {name}={value}")


def find_foreign_markup(page: httpx.Response) -> list[str]:
    """Elements and attributes that no template has (a value that was not escaped made them), inline scripts and styles."""
    reader = _Reader()
    reader.feed(page.text)
    reader.close()
    return reader.wrong


def page_of(client: httpx.Client, headers: dict[str, str] = SHOP) -> str:
    """The page of the first incident that a key sees."""
    found = client.get("/v1/incidents", headers=headers).json()["incidents"][0]
    return f"/incidents/{found['incidentId']}"


def own_origin(client: httpx.Client) -> dict[str, str]:
    return {"origin": str(client.base_url).rstrip("/")}


def sign_in(client: httpx.Client, page: str, key: str, origin: str | None = None) -> httpx.Response:
    headers = own_origin(client) if origin is None else {"origin": origin}
    return client.post("/sign-in", data={"key": key, "target": page}, headers=headers)


def csrf_of(page: httpx.Response) -> str:
    """The token of the forms of a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
    assert found is not None
    return found[1]


def send(client: httpx.Client, page: str, path: str, **fields: Any) -> httpx.Response:
    """Send a form of the page, with its token."""
    data = {"csrf": csrf_of(client.get(page)), **fields}
    return client.post(path, data=data, headers=own_origin(client))


def record_one(store: IncidentStore, found: dict[str, Any], silences: tuple[Any, ...] = ()) -> None:
    """Record one session with a detection."""
    project, session = found["projectId"], found["sessionId"]
    store.queue.enqueue_sessions([TouchedSession(project, session, hash(session) % 1000, 0, 0)], Cursor())
    (waiting,) = [one for one in store.queue.find_due_sessions(1, 100) if one.session_id == session]
    store.ledger.record_detections([AnalysedSession(waiting, (found,), 1, silences=silences)])
