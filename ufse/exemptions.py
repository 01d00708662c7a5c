"""Exceptions of a project: what a person decided is no frustration there (docs/contracts/detection.md, Exceptions).

They are an input of the engine, as thresholds are: each is a small, typed value in ``Config``. In the code they are called
exemptions, because exceptions are something else in Python. This module needs neither numpy nor Arrow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Final, Literal, get_args

ExemptionKind = Literal["expected_answer", "known_slow", "decorative_control", "test_traffic"]
TrafficField = Literal["environment", "app_version", "user_hash"]

KINDS: Final[tuple[ExemptionKind, ...]] = get_args(ExemptionKind)
TRAFFIC_FIELDS: Final[tuple[TrafficField, ...]] = get_args(TrafficField)
MOST_TEXT: Final = 500
"""Characters of a text of an exemption, at most."""
LONGEST_WAIT_MS: Final = 600_000
"""A wait of more than ten minutes is never normal. Own choice."""
_NEEDED: Final[Mapping[ExemptionKind, tuple[str, ...]]] = {
    "expected_answer": ("endpoint", "status"),
    "known_slow": ("endpoint", "limit_ms"),
    "decorative_control": ("route", "target"),
    "test_traffic": ("traffic_field", "value"),
}
_FIELD_WORDS: Final[Mapping[str, str]] = {
    "environment": "the environment",
    "app_version": "the version",
    "user_hash": "the user",
}


@dataclass(frozen=True)
class Exemption:
    """One exception. Which fields count depends on ``kind``; the others are '' or 0. Raises ValueError, with the reason, for
    fields that do not fit the kind.

    * ``expected_answer``: requests to ``endpoint`` (as in a failure point, ``POST /api/cart``) that are answered with
      ``status`` (400 to 599) are no failure.
    * ``known_slow``: requests to ``endpoint`` that take at most ``limit_ms`` are not slow.
    * ``decorative_control``: clicks on ``target`` of the folded ``route`` are no rage, and no press without an answer.
    * ``test_traffic``: visits with an event whose ``traffic_field`` is ``value`` have no detection.
    """

    kind: ExemptionKind
    endpoint: str = ""
    status: int = 0
    limit_ms: int = 0
    route: str = ""
    target: str = ""
    traffic_field: str = ""
    value: str = ""
    origin: str = ""
    """Who set it, and when, for explanations; it decides nothing."""

    def __post_init__(self) -> None:
        needed = _NEEDED.get(self.kind)
        if needed is None:
            raise ValueError(f"there is no kind of exception {str(self.kind)[:40]!r}; the kinds are {', '.join(KINDS)}")
        for field in fields(self):
            if field.name in ("kind", "origin"):
                continue
            value = getattr(self, field.name)
            if type(value) is not (int if isinstance(field.default, int) else str):
                raise ValueError(f"{field.name} of an exception must be {type(field.default).__name__}")
            if bool(value) is not (field.name in needed):
                raise ValueError(f"an exception of the kind {self.kind} has {' and '.join(needed)}, nothing else")
            if isinstance(value, str) and (len(value) > MOST_TEXT or (value and not value.isprintable())):
                raise ValueError(f"{field.name} of an exception is one line of at most {MOST_TEXT} characters")
        self._check_limits()

    def _check_limits(self) -> None:
        if self.status and not 400 <= self.status <= 599:
            raise ValueError("the status of an exception is 400 to 599")
        if self.limit_ms and not 0 < self.limit_ms <= LONGEST_WAIT_MS:
            raise ValueError(f"limit_ms of an exception is 1 to {LONGEST_WAIT_MS}")
        if self.traffic_field and self.traffic_field not in TRAFFIC_FIELDS:
            raise ValueError(f"traffic_field of an exception is one of {', '.join(TRAFFIC_FIELDS)}")

    def content(self) -> dict[str, str | int]:
        """What it says, without who set it: the fields of its kind, in a fixed order."""
        return {"kind": self.kind, **{name: getattr(self, name) for name in _NEEDED[self.kind]}}

    def describe(self) -> str:
        """What it says, as a sentence without a full stop: ``POST /api/cart → 409 is no failure``."""
        if self.kind == "expected_answer":
            return f"{self.endpoint} → {self.status} is no failure"
        if self.kind == "known_slow":
            return f"{self.endpoint} may take {self.limit_ms / 1000:g} s"
        if self.kind == "decorative_control":
            return f"clicks on {self.target} ({self.route}) are no rage and need no answer"
        shown = f"{self.value[:12]}…" if self.traffic_field == "user_hash" and len(self.value) > 12 else self.value
        return f"{_FIELD_WORDS[self.traffic_field]} {shown} is test traffic"


def make_exemption(content: Mapping[str, object], origin: str = "") -> Exemption:
    """The exemption with this ``content``. Raises ValueError for unknown names and for values that do not fit."""
    known = {field.name for field in fields(Exemption)} - {"origin"}
    wrong = [name for name in content if name not in known]
    if wrong or "kind" not in content:
        raise ValueError(f"an exception has a kind and its fields; {', '.join(map(str, wrong))[:80] or 'no kind'}")
    return Exemption(**content, origin=origin)  # type: ignore[arg-type]  # checked by __post_init__


def identify_exemption(project: str, exemption: Exemption) -> str:
    """The id of an exemption of a project: the same content has the same id."""
    text = "\x1f".join(("exemption", project, *map(str, exemption.content().values())))
    return "exc_" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
