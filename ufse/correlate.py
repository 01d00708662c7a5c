"""Candidates: the negatives of one action, the signals around them, and the rule at which each falls or
passes.

detection.md, Correlation: (1) two independent signals, one of them behavioural; (2) a feedback signal; (3)
one session: a candidate never leaves its visit; (4) one window: each signal within 30 s of the evidence
before it, waiting not counted; (5) one route or flow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ufse.attribution import CRASH, FAILURE, INVALID, SLOW
from ufse.score import HIGH, Evidence, level, points, total
from ufse.sessions import INPUT, LOADING, NETWORK, SUBMIT
from ufse.signals.abandonment import abandonment
from ufse.signals.blocked import blocked
from ufse.signals.model import ABANDONMENT, BLOCKED, CONFUSION, FEEDBACK, RAGE, Signal
from ufse.view import View

EMITTED = "emitted"
"""Rule id of a candidate that passes everything."""


@dataclass(frozen=True)
class Candidate:
    """One action that met negative feedback, judged. ``rule`` is EMITTED or the rule at which it fell."""

    action: int
    failure: int
    """Frame row of the primary failure."""
    signals: tuple[Signal, ...]
    points: tuple[tuple[str, int], ...]
    score: int | None
    rule: str
    text: str
    resolved: bool
    start: int
    end: int

    @property
    def abandoned(self) -> str:
        return next((s.form for s in self.signals if s.kind == ABANDONMENT), "")


def candidates(view: View) -> list[Candidate]:
    """All candidates of a visit, ordered by their first failure."""
    earliest = sorted(view.negatives_by_action.items(), key=lambda item: item[1][0])[: view.config.max_candidates]
    found = [judge(view, action, rows) for action, rows in earliest]
    return sorted((c for c in found if c is not None), key=lambda c: c.failure)


def judge(view: View, action: int, rows: Sequence[int]) -> Candidate | None:
    """The best candidate of one action: failures after its last success, else those that it resolved."""
    negatives = _one_control(view, action, [r for r in rows if not _duplicate(view, r)])
    if not negatives:
        return None
    successes = view.successes(action, negatives)
    last = successes[-1] if successes else -(2**62)
    open_rows = [r for r in negatives if min(view.begin(r), view.at(view.cause[r - view.low])) > last]
    resolved = not open_rows
    chosen = negatives if resolved else open_rows
    since = -(2**62) if resolved else last
    judged = [_judge_cluster(view, action, since, c, successes, resolved) for c in _clusters(view, chosen)]
    return max(judged, key=lambda c: (c.rule == EMITTED, c.score or -1, -c.failure))


def _one_control(view: View, action: int, negatives: list[int]) -> list[int]:
    """Of a nameless target's failures those of one endpoint: another endpoint is another control of the
    same type.
    """
    if not negatives or view.is_page(action) or not view.target_of(action).nameless:
        return negatives
    groups: dict[int, list[int]] = {}
    for row in negatives:
        groups.setdefault(int(view.frame.endpoint[row]), []).append(row)
    return max(groups.values(), key=lambda g: (len(g), -g[0]))


def _duplicate(view: View, row: int) -> bool:
    """After a success the 409 of a doubled click or a held Enter is no failure."""
    if int(view.frame.status[row]) not in (409, 412, 425):
        return False
    began, t = view.begin(row), view.at(row)
    good = view.good_by_endpoint.get(int(view.frame.endpoint[row]), ())
    return any(began - view.config.retry_window_ms <= view.at(g) <= max(t, began + 2_000) for g in good)


def _clusters(view: View, negatives: Sequence[int]) -> list[list[int]]:
    """Negatives whose causes lie within 30 s of the answer before, the time spent waiting not counted."""
    clusters: list[list[int]] = []
    until = 0
    for row in negatives:
        if clusters and view.at(view.cause[row - view.low]) - until <= view.config.correlation_gap_ms:
            clusters[-1].append(row)
        else:
            clusters.append([row])
        until = max(until, view.at(row)) if len(clusters[-1]) > 1 else view.at(row)
    return clusters


def _judge_cluster(
    view: View, action: int, since: int, negatives: list[int], successes: Sequence[int], resolved: bool
) -> Candidate:
    failure = min(negatives, key=lambda r: _precedence(view, r))
    feedback = Signal(
        FEEDBACK,
        view.at(negatives[0]),
        view.at(negatives[-1]),
        tuple(negatives),
        len({view.cause[r - view.low] for r in negatives}),
        action,
        view.cause[failure - view.low],
    )
    behaviour = _behaviour(view, action, since, negatives, [] if resolved else successes)
    near = _connected(view, feedback, behaviour)
    signals = tuple(sorted((feedback, *near), key=lambda s: (s.start, s.end, s.kind, s.rows)))
    start, end = min(s.start for s in signals), max(s.end for s in signals)
    independent = [s for s in near if set(s.rows) - set(negatives)]
    evidence = _evidence(view, action, negatives, failure, near, end, resolved)
    table = tuple(points(evidence, view.config))
    score = total(table)
    rule, text = _verdict(view, action, behaviour, near, independent, score, resolved)
    return Candidate(action, failure, signals, table, score if near else None, rule, text, resolved, start, end)


def _precedence(view: View, row: int) -> tuple[int, int, int]:
    """Failures first, then the earliest; a form's own "invalid" gives way to the message that says why."""
    wordless = 1_000 if view.kind[row - view.low] == SUBMIT else 0
    return view.class_tier(row), view.at(row) + wordless, row


def _behaviour(view: View, action: int, since: int, negatives: list[int], successes: Sequence[int]) -> list[Signal]:
    """Behavioural signals on the candidate's route or flow."""
    flow = view.flow_of(action)
    found = [s for s in view.rage if s.start > since and view.flow(s.row) == flow]
    stuck = blocked(view, action, since, negatives)
    left = abandonment(view, action, negatives, successes)
    wandered = [s for s in view.confusion if s.start > since and _touches(view, s, flow)]
    return [*found, *(s for s in (stuck, left) if s is not None), *wandered]


def _touches(view: View, signal: Signal, flow: str) -> bool:
    return any(view.flow(r) == flow for r in signal.rows)


def _connected(view: View, feedback: Signal, behaviour: list[Signal]) -> list[Signal]:
    """The signals that chain to the feedback with no gap over 30 s, waiting for pending requests not
    counted.
    """
    pending = [(view.begin(r), view.at(r)) for r in feedback.rows]
    chain: list[Signal] = []
    spans = [(min(feedback.start, *(view.at(view.cause[r - view.low]) for r in feedback.rows)), feedback.end)]
    rest = list(behaviour)
    while rest:
        close = [s for s in rest if any(_gap(s, span, pending) <= view.config.correlation_gap_ms for span in spans)]
        if not close:
            return chain
        chain += close
        spans += [(s.start, s.end) for s in close]
        rest = [s for s in rest if s not in close]
    return chain


def _gap(signal: Signal, span: tuple[int, int], pending: list[tuple[int, int]]) -> int:
    low, high = min(signal.end, span[1]), max(signal.start, span[0])
    if high <= low:
        return 0
    waited = sum(max(0, min(high, b) - max(low, a)) for a, b in pending)
    return max(0, high - low - waited)


def _evidence(
    view: View, action: int, negatives: list[int], failure: int, near: list[Signal], end: int, resolved: bool
) -> Evidence:
    kinds = {s.kind: s for s in near}
    begin = min(view.at(view.cause[r - view.low]) for r in negatives)
    left = kinds.get(ABANDONMENT)
    by_field = view.kind[view.cause[failure - view.low] - view.low] == INPUT
    answered = view.negative[failure - view.low] == SLOW and _came_late(view, failure)
    return Evidence(
        feedback=view.negative[failure - view.low],
        vague=_vague(view, failure),
        by_field=by_field,
        rage=_rage_place(view, action, near),
        retries=kinds[BLOCKED].count if BLOCKED in kinds else 0,
        abandoned=left.form if left else "",
        form_sent=left is not None and _form_sent(view, action, left),
        confused=CONFUSION in kinds,
        failures=1 if by_field else len({view.cause[r - view.low] for r in negatives}),
        longest_wait_ms=max(view.waited(r) for r in negatives),
        struggle_ms=end - begin,
        resolved=resolved,
        answered_late=answered,
    )


def _came_late(view: View, row: int) -> bool:
    """Whether what was slow came in the end: an answer, a measured load, a loading phase with its end."""
    kind = view.kind[row - view.low]
    if kind == NETWORK:
        return bool(view.given.success[row])
    return kind != LOADING or not view.frame.endless[row]


def _vague(view: View, row: int) -> bool:
    """An error without a message that no form submit caused (there it is most likely the form's own)."""
    if view.negative[row - view.low] != CRASH or view.frame.endpoint_known[view.frame.endpoint[row]]:
        return False
    return view.kind[view.cause[row - view.low] - view.low] != SUBMIT


def _form_sent(view: View, action: int, left: Signal) -> bool:
    """Fields were filled in and this action sent the form; without a submit event, a button after two fields
    or
    with a validation error."""
    fields = {int(view.frame.raw_target[r]) for r in left.rows if view.kind[r - view.low] == INPUT}
    senders = view.submitters.get(action // max(len(view.frame.targets), 1), set())
    sent = action in senders
    target = view.target_of(action)
    formal = len(fields) > 1 or any(view.negative[r - view.low] == INVALID for r in view.negatives_by_action[action])
    button = (
        formal
        and not senders
        and target.meaningful
        and not (target.link or target.leaves or target.aside or target.toggle or view.is_page(action))
    )
    return bool(fields) and (sent or button)


def _rage_place(view: View, action: int, near: list[Signal]) -> str:
    places = set()
    beside = "page" if view.is_page(action) else "near"
    for signal in near:
        if signal.kind != RAGE:
            continue
        same_page = view.pattern_of(signal.action) == view.pattern_of(action)
        if signal.form == "reloads":
            places.add("reload" if signal.action == action else "reload_other" if same_page else "")
        else:
            places.add("same" if signal.action == action else beside if same_page else "")
    return next((p for p in ("same", "reload", "reload_other", "page", "near") if p in places), "")


def _verdict(
    view: View,
    action: int,
    behaviour: list[Signal],
    near: list[Signal],
    independent: list[Signal],
    score: int,
    resolved: bool,
) -> tuple[str, str]:
    if not behaviour:
        return (
            "no_behavioural_signal",
            "Nobody reacted to the failure: no rage, retry, leaving or confusion belongs to it.",
        )
    if not near:
        return "outside_window", "The behavioural signals lie more than 30 s away from the failure."
    if not independent:
        return "not_independent", "The signals rest on the same events."
    if any(view.frame.target_ignored[r] for s in near for r in s.rows) or _ignored(view, action):
        return "ignored", "The route or target is on the project's ignore list."
    if level(score, view.config) == HIGH:
        return EMITTED, "All rules passed."
    if resolved:
        return (
            "resolved",
            f"The action was achieved later in the session: score {score}, below {view.config.high_score}.",
        )
    return (
        "below_high",
        f"The score is {score}, below {view.config.high_score}: {level(score, view.config)} is not emitted.",
    )


def _ignored(view: View, action: int) -> bool:
    return any(view.frame.target_ignored[view.cause[r - view.low]] for r in view.negatives_by_action[action])


def severity_type(view: View, failure: int) -> str:
    """Bug for failures and errors, Performance for slowness, UX for rejections and validation."""
    negative = view.negative[failure - view.low]
    if negative == SLOW:
        return "Performance"
    return "Bug" if negative in (FAILURE, CRASH) else "UX"


def feedback_text(view: View, row: int) -> str:
    """What failed, in the words of a failure point; without times, so that sessions meet."""
    frame, negative = view.frame, view.negative[row - view.low]
    endpoint = frame.endpoints[frame.endpoint[row]] if frame.endpoint[row] >= 0 else ""
    if view.kind[row - view.low] == NETWORK:
        status = int(frame.status[row])
        answer = "slow" if negative == SLOW else str(status) if status > 0 else "no answer"
        if not endpoint:
            return "network error" if status <= 0 and negative != SLOW else f"request → {answer}"
        return f"{endpoint} → {answer}"
    if negative == SLOW:
        code, texts = frame.words["perf_kind"]
        return f"{texts[int(code[row])].replace('_', ' ') or 'loading'} → slow"
    return endpoint or ("validation error" if negative == INVALID else "uncaught error")
