"""A receiver of webhooks that checks signatures, keeps ids, and does each thing once."""

import base64
import hmac
import json
import time
from typing import Any

import jsonschema

from tests.fakes.server import Answer, Fake, Request

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
# cloudevents/spec, cloudevents/formats/cloudevents.json (version 1.0.2): the attributes that every event has.
SCHEMA = {
    "type": "object",
    "properties": {
        "specversion": {"type": "string", "minLength": 1, "const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "format": "uri-reference", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "subject": {"type": ["string", "null"], "minLength": 1},
        "time": {"type": ["string", "null"], "format": "date-time", "minLength": 1},
        "datacontenttype": {"type": ["string", "null"], "minLength": 1},
        "dataschema": {"type": ["string", "null"], "format": "uri", "minLength": 1},
        "data": {"type": ["object", "string", "number", "array", "boolean", "null"]},
    },
    "required": ["id", "source", "specversion", "type"],
    "additionalProperties": False,
}


def is_create(request: Request) -> bool:
    return request.method == "POST" and '"dev.furrow.incident.created"' in request.text


class FakeWebhook(Fake):
    """``events``: each that came, once, by its id. ``issues``: tickets by key. ``answers``: whether it names keys."""

    name = "webhook"

    def __init__(self, answers: bool = True) -> None:
        super().__init__()
        self.answers = answers
        self.events: dict[str, dict[str, Any]] = {}
        self.issues: dict[str, dict[str, Any]] = {}
        self.repeats = 0

    @property
    def url(self) -> str:
        return f"{self.address}/furrow"

    def handle(self, request: Request) -> Answer:
        if request.path != "/furrow":
            return Answer(404, "not here")
        if request.method == "OPTIONS":
            return Answer(200, None, {"WebHook-Allowed-Origin": "*"})
        if not self._is_signed(request):
            return Answer(401, {"message": "the signature is wrong"})
        event = request.json
        self.violations += [error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(event)]
        if not request.headers.get("content-type", "").startswith("application/cloudevents+json"):
            self.violations.append("the content type is not that of structured mode")
        id_ = request.headers["webhook-id"]
        if event["id"] != id_:
            self.violations.append("the ids of event and message differ")
        self.repeats += id_ in self.events
        self.events.setdefault(id_, event)
        if not event["type"].endswith(".created"):
            return Answer(204)
        known = next((key for key, issue in self.issues.items() if issue["id"] == id_), None)
        key = known or (f"T-{len(self.issues) + 1}" if self.answers else id_)
        self.issues.setdefault(key, {"id": id_, "incident": event["subject"]})
        return Answer(200, {"key": key, "url": f"https://tickets.test/{key}"}) if self.answers else Answer(202)

    def _is_signed(self, request: Request) -> bool:
        id_, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        digest = hmac.digest(key, f"{id_}.{at}.".encode() + request.text.encode(), "sha256")
        wanted = f"v1,{base64.b64encode(digest).decode()}"
        return hmac.compare_digest(request.headers["webhook-signature"], wanted) and abs(time.time() - int(at)) < 300

    def types(self) -> list[str]:
        return [str(event["type"]).rpartition(".")[2] for event in self.events.values()]


def dumped(fake: FakeWebhook) -> str:
    """Everything that came, as text."""
    return json.dumps(list(fake.events.values()), ensure_ascii=False)
