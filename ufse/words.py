"""The texts for routes, targets, failures and points of one batch."""

from functools import lru_cache
from typing import Final, NamedTuple

from ufse.arrays import Ints, find_distinct_rows
from ufse.detection import SeverityType
from ufse.feedback import CRASH, FAILURE, INVALID, RETURNED, SILENT, SLOW
from ufse.formats import format_duration
from ufse.frame import BODY_ERROR
from ufse.judge import Judgement
from ufse.sessions import CLICK, INPUT, NAVIGATION, NETWORK, SUBMIT
from ufse.target_codes import PAGE
from ufse.weights import TEXTS

RulePoints = tuple[tuple[str, int], ...]
"""The words and points of the rules that gave or took any."""
CAUSE_TEXTS: Final = {
    CLICK: "the click on {}",
    INPUT: "the change of {}",
    SUBMIT: "the submit of {}",
    NAVIGATION: "the page was opened",
}
"""What an answer follows, by the kind of the interaction that caused it."""


def severity_type(negative: int) -> SeverityType:
    """Bug for failures, errors and missing answers, Performance for slowness, UX for rejections and validation."""
    if negative == SLOW:
        return "Performance"
    return "Bug" if negative in (FAILURE, CRASH, SILENT, RETURNED) else "UX"


class Answer(NamedTuple):
    """The values of a feedback event that determine its text."""

    kind: int
    negative: int
    endpoint: int
    status: int
    perf_kind: int


class ActionWords(NamedTuple):
    """What is said of an action."""

    route: str
    """Pattern of its route."""
    target: str
    """Name of its target; '' for a page that was opened."""
    shown: str
    """The same, or "page load"."""
    opens_page: bool


class Words:
    """The texts for rows and actions of one frame."""

    def __init__(self, judged: Judgement) -> None:
        self.index, self.frame = judged.index, judged.index.frame
        self.target_count = max(len(self.frame.targets), 1)
        self._actions: dict[int, ActionWords] = {}
        self._answers: dict[Answer, str] = {}
        self._descriptions: dict[tuple[Answer, int, bool], str] = {}
        self._failure_points: dict[tuple[int, Answer], str] = {}
        self._rule_texts = tuple(TEXTS.values())
        self._points: dict[tuple[int, ...], RulePoints] = {}

    def describe_action(self, action: int) -> ActionWords:
        """The words of an action; many detections share one."""
        found = self._actions.get(action)
        if found is None:
            page = action % self.target_count == PAGE
            names = self.route_pattern(action), self.target_name(action), self.shown_target(action)
            found = self._actions[action] = ActionWords(*names, page)
        return found

    def route_pattern(self, action: int) -> str:
        return self.frame.patterns[action // self.target_count]

    def target_name(self, action: int) -> str:
        """The name of an action's target; '' for a page that was opened."""
        return self.frame.targets[action % self.target_count].name

    def shown_target(self, action: int) -> str:
        return "page load" if action % self.target_count == PAGE else self.target_name(action)

    def read_answers(self, rows: Ints) -> list[Answer]:
        frame, attribution = self.frame, self.index.attribution
        whole = (frame.kind, attribution.negative, frame.endpoint, frame.status, frame.words["perf_kind"][0])
        columns = [c[rows] for c in whole]
        code, first = find_distinct_rows(columns, len(rows))
        answers = [Answer(*a) for a in zip(*(c[first].tolist() for c in columns), strict=True)]
        return [answers[c] for c in code.tolist()]

    def feedback_text(self, answer: Answer) -> str:
        """What failed, as in a failure point; without times, so that sessions share failure points."""
        text = self._answers.get(answer)
        if text is None:
            text = self._answers[answer] = self._write_feedback(answer)
        return text

    def _write_feedback(self, a: Answer) -> str:
        if a.negative == SILENT:
            return "never answered"
        if a.negative == RETURNED:
            return "sent back"
        endpoint = self.frame.endpoints[a.endpoint] if a.endpoint >= 0 else ""
        if a.kind == NETWORK:
            shown = "an error in the body" if a.status == BODY_ERROR else str(a.status)
            answer = "slow" if a.negative == SLOW else shown if a.status > 0 else "no answer"
            if not endpoint:
                return "network error" if a.status <= 0 and a.negative != SLOW else f"request → {answer}"
            return f"{endpoint} → {answer}"
        if a.negative == SLOW:
            measured = self.frame.words["perf_kind"][1][a.perf_kind] if a.perf_kind >= 0 else ""
            return f"{measured.replace('_', ' ') or 'loading'} → slow"
        return endpoint or ("validation error" if a.negative == INVALID else "uncaught error")

    def write_failure_point(self, action: int, answer: Answer) -> str:
        """``/checkout › button#pay › POST /api/orders → 500``; many detections share one."""
        text = self._failure_points.get((action, answer))
        if text is None:
            text = self._failure_points[action, answer] = self._write_failure_point(action, answer)
        return text

    def _write_failure_point(self, action: int, answer: Answer) -> str:
        shown, feedback = self.shown_target(action), self.feedback_text(answer)
        control = "" if shown and feedback.startswith(shown) else shown
        return " › ".join(p for p in (self.route_pattern(action), control, feedback) if p)

    def describe_answer(self, answer: Answer, waited: int, came: bool) -> str:
        """What came, in a clause. ``waited``: how long the answer took, ms; ``came``: whether it arrived in the end."""
        text = self._descriptions.get((answer, waited, came))
        if text is None:
            text = self._descriptions[answer, waited, came] = self._write_description(answer, waited, came)
        return text

    def _write_description(self, answer: Answer, waited: int, came: bool) -> str:
        what = self.feedback_text(answer)
        if answer.kind == NETWORK:
            request, _, result = what.rpartition(" → ")
            if answer.negative == SLOW:
                unanswered = f"{request} had not answered after {format_duration(waited)}, when the user left,"
                return f"{request} took {format_duration(waited)} to answer" if came else unanswered
            if not request:
                return f"a {what} occurred"
            return f"{request} got no answer" if result == "no answer" else f"{request} returned {result}"
        if answer.negative == SILENT:
            return "the control was pressed and nothing followed: no request, no page, no change,"
        if answer.negative == RETURNED:
            return "the form was sent and a login or error page came back, or its page was loaded anew,"
        if answer.negative == CRASH:
            return f"the page raised the error “{what}”"
        if answer.negative == INVALID:
            return f"the input was rejected ({what})"
        measured = what.removesuffix(" → slow")
        return (
            f"the page took {format_duration(waited)} to load"
            if measured == "page load"
            else f"{measured} took {format_duration(waited)}"
        )

    def read_points(self, table: Ints) -> list[RulePoints]:
        """Per row of a table of points: ``nonzero_points``."""
        width, whole = table.itemsize * table.shape[1], table.tobytes()
        rows = [whole[i : i + width] for i in range(0, len(whole), width)]
        place = {row: i for i, row in enumerate(rows)}
        found = {row: self.nonzero_points(tuple(table[i].tolist())) for row, i in place.items()}
        return [found[row] for row in rows]

    def nonzero_points(self, points: tuple[int, ...]) -> RulePoints:
        """The rules that gave or took points, in the order of the table; few combinations are common."""
        found = self._points.get(points)
        if found is None:
            named = zip(self._rule_texts, points, strict=True)
            found = self._points[points] = tuple((rule, p) for rule, p in named if p)
        return found


@lru_cache(maxsize=4_096)
def format_points(points: RulePoints) -> str:
    """Points in a row, with the sum where it is capped at 100."""
    gained = sum(p for _, p in points if p > 0)
    capped = f" (sum {gained}, capped at 100)" if gained > 100 else ""
    return ", ".join(f"{rule} {p:+d}" for rule, p in points) + capped
