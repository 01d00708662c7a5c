"""The part of a session that its page shows: a window of the stored events, drawn, and links to the parts before and after."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from collector.pages.timeline import FEEDBACK, Entry, Signal, Timeline, draw_entries, measure_signals, parse_epoch_ms
from core.session_window import SHOWN_EVENTS, SessionWindow

if TYPE_CHECKING:
    from stores.incidents.incident_review import SessionView

_MOST_SIGNALS: Final = 30


class SessionAddress(NamedTuple):
    """What the address names: a session, and which part: from the event number ``start``, or around ``at`` (ms since the
    first signal, or since the first event of a session without a detection)."""

    project: str
    session_id: str
    start: int | None = None
    at: int | None = None

    def link_part(self, start: int) -> str:
        """The address of the part that begins at an event."""
        return f"/session?{urlencode({'project': self.project, 'id': self.session_id, 'from': start})}"


@dataclass(frozen=True)
class SessionPart:
    """A window of the session; None with the ``problem`` that kept it from being read. ``zero_ms``: the time from which the
    page counts, epoch ms; ``failures``: moments of failure, ms since then."""

    window: SessionWindow | None
    zero_ms: int
    failures: tuple[int, ...]
    problem: str = ""


class ShownPart(NamedTuple):
    """A part as the template needs it. ``first`` and ``last``: numbers of its events, from 1; links are '' where there is
    nothing, ``failure`` also where the part shows the first failure already."""

    timeline: Timeline | None
    first: int
    last: int
    total: int
    earlier: str
    later: str
    failure: str
    problem: str


def find_moments(view: "SessionView") -> tuple[int | None, tuple[int, ...]]:
    """The time of the first signal of all detections (epoch ms; None: there is none), and the moments of failure: for each
    detection the first feedback, in ms since then."""
    starts = [start for found in view.detections if (start := parse_epoch_ms(found.example["timestamp"])) is not None]
    if not starts:
        return None, ()
    zero = min(starts)
    begins = [
        next((signal.begin for signal in measure_signals(found.example, zero) if signal.kind == FEEDBACK), None)
        for found in view.detections
    ]
    return zero, tuple(sorted({begin for begin in begins if begin is not None}))


def present_part(part: SessionPart, view: "SessionView", address: SessionAddress) -> ShownPart:
    """The part with its drawing and links."""
    window = part.window
    if window is None or not window.events:
        total = window.total if window else 0
        return ShownPart(None, 0, 0, total, "", "", address.link_part(0) if total else "", part.problem)
    start, stop = window.start, window.start + len(window.events)
    shown = {at for at in part.failures if window.events[0].at_ms <= part.zero_ms + at <= window.events[-1].at_ms}
    whole = SessionAddress(address.project, address.session_id)
    return ShownPart(
        draw_entries(_list_entries(part, window), _list_signals(part, view), part.failures, whole=False),
        start + 1,
        stop,
        window.total,
        whole.link_part(max(0, start - SHOWN_EVENTS)) if start else "",
        whole.link_part(stop) if stop < window.total else "",
        ""
        if shown or not part.failures
        else f"/session?{urlencode({'project': whole.project, 'id': whole.session_id})}",
        "",
    )


def part_to_json(part: SessionPart) -> dict[str, Any]:
    """The events of the part for programs; ``events`` is None where they cannot be read, and ``eventsProblem`` says why."""
    window = part.window
    if window is None:
        return {"events": None, "eventsProblem": part.problem}
    return {
        "eventsTotal": window.total,
        "eventsFrom": window.start,
        "events": [
            {
                "eventId": event.event_id,
                "atMs": event.at_ms,
                "offsetMs": event.at_ms - part.zero_ms,
                "eventType": event.kind,
                "route": event.route,
                "text": event.text,
                "failed": event.failed,
            }
            for event in window.events
        ],
    }


def _list_entries(part: SessionPart, window: SessionWindow) -> list[Entry]:
    return [
        Entry(event.event_id, event.at_ms - part.zero_ms, event.kind, event.text, event.route, event.failed)
        for event in window.events
    ]


def _list_signals(part: SessionPart, view: "SessionView") -> list[Signal]:
    found = [signal for shown in view.detections for signal in measure_signals(shown.example, part.zero_ms)]
    return sorted(found, key=lambda signal: (signal.begin, signal.end, signal.kind))[:_MOST_SIGNALS]
