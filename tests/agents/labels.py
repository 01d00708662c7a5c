"""The label of a session, from what happened to the person and from what a collector could see at all."""

from collections import Counter
from dataclasses import dataclass

from tests.agents.model import Control, Record, clean_route


@dataclass(frozen=True)
class Sight:
    """What a collector saw of the truth: signs of trouble, and moments at which the person was seen to leave.

    A sign shows trouble by itself; weak signs (a reload, a page that reloads itself, a return to the login, a further
    try at a control the collector names) show it when there are two of them.
    """

    signs: int
    weak: int
    names_clicks: bool
    left_at: tuple[int, ...]


@dataclass(frozen=True)
class Verdict:
    """Whether the person was frustrated, and where."""

    frustrated: bool
    route: str
    control: Control | None


def judge_record(record: Record, sight: Sight) -> bool:
    """Tell whether one goal of a person left them frustrated."""
    if record.got or not record.failures:
        return False
    if record.shown:
        return True
    last = record.failures[-1].at
    invested = record.fields >= 2 or record.steps >= 2
    return invested and any(at >= last for at in sight.left_at)


def worst_place(record: Record) -> tuple[str, Control]:
    """Find where most tries failed; the first of equals."""
    counts = Counter((failure.route, failure.control) for failure in record.failures)
    return counts.most_common(1)[0][0]


def count_repeats(record: Record) -> int:
    """Count the further tries at the control the person tried most."""
    counts = Counter(failure.control for failure in record.failures)
    return max(counts.values()) - 1


def judge_session(records: list[Record], sight: Sight) -> Verdict:
    """Judge a whole client session."""
    bad = [record for record in records if judge_record(record, sight)]
    weak = sight.weak + (max(map(count_repeats, bad), default=0) if sight.names_clicks else 0)
    visible = sight.signs > 0 or weak >= 2
    if not bad or not visible:
        return Verdict(False, "", None)
    worst = max(bad, key=lambda record: len(record.failures))
    route, control = worst_place(worst)
    return Verdict(True, clean_route(route), control)
