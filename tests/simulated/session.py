"""One person at one application, event by event. Whether they were frustrated is what comes out, not what goes in.

One state machine serves all applications and failures: act, wait for the answer, notice what came, react. Times are
milliseconds since the session began.
"""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.simulated.applications import Application, Background, Call, Control, Step, Task
from tests.simulated.failures import Answer, Failure
from tests.simulated.people import WAITS_MS, Person
from tests.simulated.recording import Moment, name_of

_RETRY: Final = Control("button", "retry", "Try again")
_LINK: Final = Control("link", "nav-link", "Menu")
_SIGN_IN: Final = Control("button", "sign-in", "Sign in")
_BODY: Final = Control("div", "content", "")
_FIELDS: Final = ("text", "email", "number", "select-one", "tel", "textarea")


@dataclass(eq=False)
class Struggle:
    """What a person went through with one step of one task."""

    task: str
    step: Step
    route: str
    control: Control
    want: float
    invested: bool
    tries: int = 0  # deliberate attempts that got them nothing
    pressed: int = 0  # waits in which they acted again because no answer came
    raged: bool = False
    waited: float = 0.0
    reached: bool = False
    left: bool = False  # the visit ends here
    done: bool = False  # the server did it, whatever the page shows
    visible: bool = False  # the events say that something went wrong
    parted: bool = False  # the events say that the visit ended

    @property
    def suffering(self) -> float:
        """To find the worst of several."""
        return self.want * (self.tries + 2 * self.raged + 2 * self.left + min(self.waited, 60_000) / 20_000)

    @property
    def frustrated(self) -> bool:
        """Wanted it, never got it, and tried again, raged, or was seen to end the visit there with the task well begun.

        Who tried once and went on was not frustrated; nor was who failed twice at something by the way. Of a failure
        that no event tells, nobody can know. All of this shows in the events: what only the person knows (how much
        they wanted it) decides what they do, not the label.
        """
        if self.reached or not self.visible:
            return False
        again = self.tries + self.pressed >= (3 if self.step.minor else 2)
        return again or self.raged or (self.invested and self.left and self.parted and not self.step.minor)


@dataclass
class _Pending:
    """A request under way, with its automatic retries; ``moments`` are what it will have told by ``done``."""

    done: float
    answer: Answer
    begun: float
    moments: list[Moment] = field(default_factory=list)


class Session:
    """The state machine. ``run`` it, then read ``moments``, ``routes`` and ``struggles``."""

    def __init__(
        self, rng: random.Random, app: Application, person: Person, failures: list[Failure], tasks: list[Task]
    ) -> None:
        self.rng, self.app, self.person, self.failures, self.tasks = rng, app, person, failures, tasks
        self.now = 0.0
        self.over = False
        self.ended = 0.0
        self.dropped = float("inf")  # when they gave something up, last
        self.moments: list[Moment] = []
        self.routes: list[tuple[float, str]] = []
        self.struggles: list[Struggle] = []
        self.pending: list[_Pending] = []
        self.inputs: list[float] = []
        self.clicked: tuple[Control | None, float, int] = (None, 0.0, 0)
        self.struggle: Struggle | None = None
        self.row = 0
        self.item = ""
        self.filled = False
        self.mistakes = 0
        self.enters = rng.random() < 0.3  # submits forms with Enter, as a habit
        self.quiet_validation = rng.random() < 0.4
        self.numeric = rng.random() < 0.6
        self.new_item()

    # -- what happens ------------------------------------------------------------------------------------------------

    def note(self, what: str, control: Control | None = None, after: float = 0.0, **data: Any) -> Moment:
        """Something happens now, or ``after`` ms."""
        moment = Moment(self.now + after, what, control, data, self.struggle)
        self.moments.append(moment)
        return moment

    def new_item(self) -> None:
        """Another thing at hand: another order, another ticket."""
        number, name = str(self.rng.randrange(1_000, 999_999)), str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        self.item = number if self.numeric else name

    @property
    def route(self) -> str:
        """Where they are."""
        return self.routes[-1][1] if self.routes else self.app.home

    def navigate(self, to: str, kind: str, gets: int = 0, load_ms: float = 0.0) -> None:
        """Another route is shown, and its page asks for what it needs."""
        origin, target = self.route, to.replace("{item}", self.item)
        if self.app.full_pages or kind == "reload":
            self.unload()
        self.routes.append((self.now, target))
        data: dict[str, Any] = {"navigationType": kind} | ({"from": origin} if origin != target else {})
        owner, self.struggle = self.struggle, None
        self.note("navigation", **data)
        if self.app.full_pages or kind in ("reload", "link"):
            load_ms = load_ms or self.rng.lognormvariate(6.7, 0.4)
            self.note("performance", after=load_ms, kind="page_load", durationMs=int(load_ms))
        for number in range(gets):
            call = Call(f"page.{number}", "GET", f"/api/page/part{number}", 160)
            self.send(call, self.answer(call, self.now))
        self.struggle = owner
        self.now += 120

    def unload(self) -> None:
        """The page goes, and with it the requests that were under way."""
        for pending in self.pending:
            for moment in pending.moments:
                if moment.at > self.now:
                    begun = moment.at - moment.data.get("durationMs", 0)
                    if begun > self.now or moment.type != "network":
                        self.moments.remove(moment)
                    else:
                        moment.data |= {"status": 0, "aborted": True, "durationMs": int(self.now - begun)}
                        moment.at = self.now
        self.pending.clear()

    # -- the application and what breaks -----------------------------------------------------------------------------

    def answer(self, call: Call, at: float) -> Answer:
        """What comes back of a call made ``at``: the first failure that minds it decides."""
        ms = call.ms * self.rng.lognormvariate(0, self.app.jitter)
        normal = Answer(201 if call.method == "POST" and self.rng.random() < 0.3 else 200, ms, done=True)
        own = call.op.startswith("page.") or self.app.loss > 0.01
        if own and self.rng.random() < self.app.loss:
            return Answer(0, ms * 3)
        for failure in self.failures:
            broken = failure.answer(self.rng, call, at, self.row, normal)
            if broken is not None:
                if self.app.graphql and broken.status in range(400, 500) and broken.status != 401:
                    return replace(
                        broken, status=200, error=f"GraphQL error: {call.op}: request failed ({broken.status})"
                    )
                return broken
        return normal

    def send(self, call: Call, answer: Answer) -> _Pending:
        """A request leaves now; its answers are told when they come, automatic retries included."""
        begun, pending = self.now, _Pending(self.now, answer, self.now)
        for number in range(self.app.retries + 1):
            end = begun + answer.ms
            data: dict[str, Any] = {"status": answer.status, "method": call.method}
            data |= {"url": call.url.replace("{item}", self.item), "durationMs": int(answer.ms)}
            data |= {"thirdParty": True} if call.third_party else {}
            pending.moments.append(self.note("network", after=end - self.now, **data))
            pending.done, pending.answer = end, answer
            if answer.status not in (0, 500, 502, 503, 504) or number == self.app.retries:
                break
            begun = end + 1_000 * 2**number * self.rng.uniform(0.9, 1.1)
            answer = self.answer(call, begun)
            if answer.blocked:
                break
        self._tell_error(pending)
        self.pending.append(pending)
        return pending

    def _tell_error(self, pending: _Pending) -> None:
        answer, after = pending.answer, pending.done - self.now + self.rng.uniform(4, 60)
        if answer.error:
            kind = "promise" if "GraphQL" in answer.error else "javascript"
            error = self.note("error", after=after, errorType=kind, message=answer.error, source="/assets/app.4f1c.js")
        elif not answer.ok and self.app.throws:
            text = f"Request failed with status code {answer.status}" if answer.status else "Failed to fetch"
            error = self.note("error", after=after, errorType="promise", message=text, source="/assets/app.4f1c.js")
        else:
            return
        pending.moments.append(error)

    # -- what hands do -----------------------------------------------------------------------------------------------

    def click(self, control: Control, *, after: float = 0.0, **data: Any) -> None:
        """A click on a control, at a place that stays about the same for one control."""
        seed = sum(map(ord, control.id))
        x, y = 90 + seed * 7 % 900 + self.rng.randrange(9), 120 + seed * 13 % 500 + self.rng.randrange(7)
        self.inputs.append(self.now)
        last, at, count = self.clicked
        count = count + 1 if last is control and self.now + after - at < 500 else 1
        self.clicked = (control, self.now + after, count)
        self.note("click", control, after, x=x, y=y, clickCount=count, inputMethod=self.person.device, **data)

    def read(self, median_ms: float) -> None:
        """Time passes over the page: reading, scrolling, idle movements, a look at another tab."""
        rng, person = self.rng, self.person
        length = person.pause(rng, median_ms, 0.7)
        for _ in range(min(4, int(length / 4_000))):
            self.note(
                "scroll",
                after=rng.random() * length,
                depth=rng.randrange(5, 101, 5),
                direction=rng.choice(["down", "down", "up"]),
            )
        if rng.random() < person.fidgets and length > 1_500:
            after = rng.random() * length * 0.8
            match rng.choice(["hover", "idle", "select"]):
                case "hover":
                    self.note("hover", _LINK, after)
                case "idle":
                    for number in range(rng.randint(1, 3)):
                        self.click(_BODY, after=after + number * 230, responded=False)
                case _:
                    for number in range(3):
                        self.click(_BODY, after=after + number * 160, selection=number > 0)
        if rng.random() < 0.03:
            self.note("visibility", after=length, state="hidden")
            length += person.pause(rng, 30_000, 0.9)
            self.note("visibility", after=length, state="visible")
        self.now += length
        if person.attentive and any(f.kind == "background_only" for f in self.failures) and rng.random() < 0.06:
            self.navigate(self.route, "reload", gets=2)

    def fill(self, step: Step, fields: int) -> None:
        """Fields are filled, one after the other."""
        for number in range(fields):
            field_control = Control("input", f"{step.form or step.control.id}-f{number}", f"Field {number + 1}")
            kind = _FIELDS[(number + len(step.control.id)) % len(_FIELDS)]
            self.note("input", field_control, action="focus", fieldType=kind)
            self.now += self.rng.lognormvariate(0, 0.4) * self.person.typing_ms
            self.inputs.append(self.now)
            self.note("input", field_control, action="change", fieldType=kind)
            self.note("input", field_control, 20, action="blur", fieldType=kind)
            self.now += self.person.pause(self.rng, 500)
        self.filled = True

    def press(
        self, step: Step, control: Control, call: Call | None, count: int, enter: bool
    ) -> _Pending | Answer | None:
        """One click (or Enter) on a control. What came of it: a request under way, nothing at all (``Answer``), or
        ``None`` where no request belongs to it."""
        busy = any(each.done > self.now for each in self.pending if each.begun >= self.now - 60_000) and count > 0
        if busy and self.app.locks and not step.quick:
            self.click(control, disabled=True, loading=True, responded=False)
            return None
        answer = self._mistaken(step) or (self.answer(call, self.now) if call else None)
        if answer is not None and answer.blocked == "validation" and not step.fields:
            answer = Answer(400, 90)
        responded = self._responds(step, answer)
        invalid = answer is not None and answer.blocked == "validation"
        form = Control("form", step.form, "") if step.form and control is not step.other else None
        if form is not None and enter:
            self.inputs.append(self.now)
            self.note("form_submit", form, valid=not invalid)
        else:
            self.click(control, responded=responded)
            if form is not None and not (answer is not None and answer.blocked == "dead"):
                self.note("form_submit", form, 6, valid=not invalid)
        if answer is None or call is None:
            return None
        if answer.blocked:
            self._tell_blocked(step, answer)
            return answer
        if self.app.full_pages:
            self.unload()
        if self.app.spinner and answer.ms > 250:
            self.note("loading", after=15, state="start")
            self.note("loading", after=answer.ms + 10, state="end")
        return self.send(call, answer)

    def _mistaken(self, step: Step) -> Answer | None:
        """The person's own mistake in a form, found by the page or by the server."""
        if not step.fields or self.mistakes <= 0:
            return None
        self.mistakes -= 1
        return Answer(0, 0, blocked="validation") if self.quiet_validation else Answer(422, 180)

    def _responds(self, step: Step, answer: Answer | None) -> bool:
        """Whether the page changes within a second of the act."""
        if answer is None:
            return not step.download
        if answer.blocked:
            return answer.blocked == "validation"
        if self.app.spinner and answer.ms > 250:
            return True
        return answer.ms < 1_000 and (not step.quiet if answer.ok else self.app.shows != "nothing")

    def _tell_blocked(self, step: Step, answer: Answer) -> None:
        if answer.blocked == "validation" and (not self.quiet_validation or not self.app.collector.states):
            self.note("error", Control("input", f"{step.form or step.control.id}-f0", "Field 1"), 12, errorType="validation",
                      message="Please enter a valid value")  # fmt: skip
        elif answer.blocked == "chunk":
            source = "/assets/page.9b21e7.js"
            self.note("error", None, 140, errorType="resource", message="404", source=source)
            self.note(
                "error",
                None,
                150,
                errorType="promise",
                message="ChunkLoadError: Loading chunk 17 failed.",
                source=source,
            )

    # -- acting, waiting, noticing -----------------------------------------------------------------------------------

    def attempt(self, step: Step, control: Control, call: Call | None, clicks: int) -> str:
        """One deliberate try. What the person sees: ok, failed, silence, invalid, late (they reloaded), gone, login."""
        rng, person = self.rng, self.person
        if step.fields and not self.filled:
            self.fill(step, step.fields)
        enter = bool(step.form) and (person.device == "keyboard" or (step.fields > 0 and self.enters))
        if clicks == 1 and person.double_clicks and not enter:
            clicks = 2
        pending: list[_Pending] = []
        origin = self.route
        for number in range(clicks):
            if number:
                self.now += person.click_gap(rng) * (1 if clicks > 2 or not step.quick else 2)
            came = self.press(step, control, call, number, enter)
            if isinstance(came, Answer):
                self.now += person.pause(rng, 1_200 if came.blocked == "validation" else 2_600)
                return "invalid" if came.blocked == "validation" else "silence"
            if came is not None:
                pending.append(came)
        if not pending:
            self.now += 350
            if step.to:
                self.navigate(step.to, "push", step.gets)
            return "ok"
        if step.push_first and origin == self.route and control is not _RETRY:
            self.now += 30
            self.navigate(step.to, "push", 0)
        return self.wait(step, control, call, pending, enter)

    def wait(self, step: Step, control: Control, call: Call | None, pending: list[_Pending], enter: bool) -> str:
        """Until an answer comes or patience ends, whichever is first; impatient people act again."""
        rng, person, begun, calm = self.rng, self.person, self.now, True
        stretch = 1.5 if self.app.spinner else 1.0
        limit = self.now + max(2_500.0, person.pause(rng, person.nature.patience_ms * stretch, 0.5))
        while True:
            first = min(each.done for each in pending)
            if first <= limit:
                break
            self.now = limit
            match self._impatience(step):
                case "press":
                    burst = rng.random() < person.nature.rage
                    for number in range(rng.randint(*person.nature.burst) if burst else 1):
                        self.now += person.click_gap(rng) if number else 0
                        came = self.press(step, control, call, 1, enter and not burst)
                        if isinstance(came, _Pending):
                            pending = [came] if self.app.full_pages else [*pending, came]
                    if self.struggle is not None:
                        self.struggle.raged |= burst
                        self.struggle.pressed += calm
                    calm = False
                case "reload":
                    self.waited(begun)
                    self.navigate(self.route, "reload", gets=2)
                    self.filled = False
                    return "late"
                case "gone":
                    self.waited(begun)
                    return "gone"
            limit = self.now + person.pause(rng, person.nature.patience_ms, 0.5)
        settled = sorted((each for each in pending if each.done <= first + 1_200), key=lambda each: each.done)
        self.now = max(self.now, settled[-1].done)
        self.waited(begun)
        return self._notice(step, settled)

    def waited(self, since: float) -> None:
        """Time spent waiting counts as suffering."""
        if self.struggle is not None:
            self.struggle.waited += self.now - since

    def _impatience(self, step: Step) -> str:
        rage = self.person.nature.rage
        leave = 0.5 * (0.3 + rage) * (1.2 - (self.struggle.want if self.struggle else 0.5))
        weights = {"wait": 1.3 - rage, "press": 0.5 + rage, "reload": 0.15 + 0.4 * rage, "gone": leave}
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def _notice(self, step: Step, settled: list[_Pending]) -> str:
        """What the page shows once the answers are there. Where it stays, the last answer is what it shows."""
        worked = [each for each in settled if each.answer.ok]
        good = bool(worked) if step.to else settled[-1].answer.ok
        if good:
            if step.to and not step.push_first:
                self.navigate(step.to, "link" if self.app.full_pages else "push", step.gets, settled[-1].answer.ms)
            elif self.app.full_pages and not step.download:
                self.navigate(self.route, "link", 0, settled[-1].answer.ms)
            self.now += self.person.pause(self.rng, 500)
            return "ok"
        if any(each.answer.status == 401 for each in settled) and self.app.login:
            return "login"
        if any(each.answer.done for each in settled) and self.struggle is not None:
            self.struggle.done = True
        silent = self.app.shows == "nothing"
        self.now += self.person.pause(self.rng, 2_200 if silent else 1_100, 0.4)
        return "silence" if silent else "failed"

    # -- reacting ----------------------------------------------------------------------------------------------------

    def obtain(self, task: Task, step: Step, clicks: int, invested: bool) -> bool:
        """All that a person does to get one step done. Whether it was."""
        rng, person = self.rng, self.person
        self.read(step.read_ms)
        self.filled = False
        self.mistakes = rng.randint(1, 2) if step.fields and rng.random() < person.clumsy else 0
        want = task.want * (0.45 if step.minor else 1) * rng.uniform(0.8, 1.1)
        struggle = self._earlier(task, step) or Struggle(
            task.name, step, self.route, step.control, want, invested or step.fields > 3
        )
        self.struggle = struggle
        origin, control, call = self.route, step.control, step.call
        before = len(self.moments)
        sight = self.attempt(step, control, call, clicks)
        if not struggle.tries:
            struggle.control = self._acted_on(before) or struggle.control
        while sight != "ok":
            struggle.tries += 1
            if struggle not in self.struggles:
                self.struggles.append(struggle)
            if sight == "login":
                if not self.log_in(origin):
                    return self.leave(struggle)
                sight = self.attempt(step, step.control, call, 1)
                continue
            if sight in ("failed", "silence") and self._rages(struggle):
                struggle.raged = True
                sight = self.attempt(step, control, call, rng.randint(*person.nature.burst))
                continue
            reaction = "leave" if sight == "gone" and rng.random() < 0.6 else person.reaction(rng, want, struggle.tries)
            if person.gives_up(rng, struggle.tries, want):
                reaction = rng.choices(
                    ["other_way", "look", "shrug", "leave"], [person.flexible, 0.15, 0.7, 0.1 + 0.6 * want]
                )[0]
            if step.push_first and self.route != origin:
                control = _RETRY
            match reaction:
                case "shrug":
                    return self._dropped(struggle)
                case "leave":
                    return self.leave(struggle)
                case "look":
                    if self._look(struggle):
                        break
                    if rng.random() < 0.4:
                        return self._dropped(struggle)
                    self.return_to(origin)
                    control = step.control
                case "help":
                    self.follow(self.app.help)
                    self.read(30_000)
                    if rng.random() < 0.4:
                        return self.leave(struggle) if rng.random() < 0.5 else self._dropped(struggle)
                    self.return_to(origin)
                    control = step.control
                case "other_way":
                    if step.other is not None and control is not step.other:
                        control, call = step.other, step.other_call
                        self.read(4_000)
                    elif step.row:
                        self.return_to(origin)
                        control = step.control
                        self.row += 1
                        self.new_item()
                        self.read(5_000)
                    else:
                        return self._dropped(struggle)
                case "reload":
                    self.now += person.pause(rng, 1_500)
                    again = self._reload(step, call)
                    if again:
                        sight = again
                        continue
                    self.now += person.pause(rng, 2_500)
                case "back":
                    self.now += person.pause(rng, 1_500)
                    past = next((route for _, route in reversed(self.routes) if route != self.route), self.app.home)
                    self.navigate(past, "back_forward", gets=1)
                    self.filled = False
                    self.now += person.pause(rng, 2_500)
                    self.return_to(origin)
                    control = step.control
                case "distracted":
                    self._wander()
                    self.return_to(origin)
                    control = step.control
                case _:
                    self._pause_before_retry(reaction)
            if sight == "invalid" or (sight == "failed" and step.fields and rng.random() < 0.5 and self.filled):
                self.fill(step, 1)
            sight = self.attempt(step, control, call, 1)
        struggle.reached = True
        self.struggle = None
        if step.quiet and call is not None and rng.random() < person.doubts:
            self.now += person.pause(rng, 2_500)
            self.press(step, control, call, 0, False)
            self.now += person.pause(rng, 1_500)
        return True

    def _earlier(self, task: Task, step: Step) -> Struggle | None:
        """What they went through with this before, if they come back to it."""
        same = (each for each in self.struggles if each.task == task.name and each.step is step and not each.reached)
        return next(same, None)

    def _acted_on(self, since: int) -> Control | None:
        """The control of the first act told since: a form where Enter was used, else what was clicked."""
        acts = (each.control for each in self.moments[since:] if each.type in ("click", "form_submit"))
        return next(acts, None)

    def _rages(self, struggle: Struggle) -> bool:
        chance = self.person.nature.rage * min(1.0, 0.3 + 0.25 * struggle.tries) * (0.4 + struggle.want)
        chance *= 0.3 if struggle.raged else 1.0
        return not self.app.full_pages and self.rng.random() < chance

    def _acts(self) -> Iterator[Moment]:
        return (each for each in self.moments if each.type in ("click", "form_submit", "input"))

    def _dropped(self, struggle: Struggle) -> bool:
        self.dropped = self.now
        self.struggle = None
        self.now += self.person.pause(self.rng, 2_500)
        return False

    def leave(self, struggle: Struggle) -> bool:
        """They have had enough of the application, not only of the step."""
        self.now += self.person.pause(self.rng, 2_500)
        struggle.left, self.struggle = True, None
        self.close()
        return False

    def _look(self, struggle: Struggle) -> bool:
        """They look whether it worked after all, where such things are listed."""
        self.follow(self.app.home)
        self.read(6_000)
        return struggle.done and self.rng.random() < 0.75

    def _reload(self, step: Step, call: Call | None) -> str:
        """The page anew. Where the page itself was what failed, this is another try; else "" and the form is empty."""
        asks = call is not None and (step.push_first or (self.app.full_pages and not step.fields))
        self.navigate(self.route, "reload", gets=1)
        self.filled = False
        if not asks or call is None:
            return ""
        answer = self.answer(call, self.now)
        if answer.blocked:
            return "silence"
        pending = self.send(call, answer)
        self.now = pending.done
        return self._notice(replace(step, push_first=True), [pending])

    def _wander(self) -> None:
        """Something else for a while: a page or two, perhaps another tab."""
        self.read(2_000)
        for _ in range(self.rng.randint(1, 2)):
            self.follow(self.rng.choice(self.app.tasks).start)
            self.read(9_000)

    def _pause_before_retry(self, reaction: str) -> None:
        median, deviation = WAITS_MS[reaction]
        length = self.person.pause(self.rng, median, deviation)
        if reaction == "later" and self.rng.random() < 0.5:
            self.note("visibility", after=1_500, state="hidden")
            self.note("visibility", after=length - 800, state="visible")
        elif reaction == "soon" and self.rng.random() < 0.5:
            self.note("scroll", after=length / 2, depth=self.rng.randrange(10, 90, 10), direction="up")
        self.now += length

    def follow(self, to: str) -> None:
        """A link of the menu."""
        owner, self.struggle = self.struggle, None
        self.click(_LINK, responded=True)
        self.now += 60
        self.navigate(to, "link" if self.app.full_pages else "push", gets=1)
        self.struggle = owner

    def return_to(self, route: str) -> None:
        """Back to where they wanted to act."""
        if self.route != route:
            self.filled = False
            self.follow(route)
            self.now += self.person.pause(self.rng, 2_500)

    def log_in(self, back: str) -> bool:
        """The login page came; most log in and go on. Whether they did."""
        self.navigate(self.app.login, "replace")
        if self.rng.random() < 0.12:
            return False
        self.now += self.person.pause(self.rng, 3_000)
        owner, self.struggle = self.struggle, None
        form = Step(_SIGN_IN, Call("login.post", "POST", self.app.login, 350), fields=2, form="login-form")
        self.fill(form, 2)
        for failure in self.failures:
            if failure.kind == "expired_session":
                failure.end = self.now
        came = self.press(form, _SIGN_IN, form.call, 0, self.person.device == "keyboard")
        self.now = came.done + 200 if isinstance(came, _Pending) else self.now + 500
        self.navigate(back, "replace", gets=1)
        self.struggle, self.filled = owner, False
        self.now += self.person.pause(self.rng, 2_000)
        return True

    # -- the whole ---------------------------------------------------------------------------------------------------

    def pursue(self, task: Task) -> bool:
        """A task from its first step to its last, as far as they get."""
        if self.route != task.start.replace("{item}", self.item):
            self.follow(task.start)
        for number, step in enumerate(task.steps):
            if step.minor and self.rng.random() < 0.4:
                continue
            times = self.rng.randint(*step.times)
            self.row = self.rng.choice([0, 0, 1, 2])
            for turn in range(1 if step.quick else times):
                place = self.route
                worked = self.obtain(task, step, times if step.quick else 1, number > 1)
                if self.over:
                    return False
                if not worked and not step.minor:
                    return False
                if not worked:
                    self.return_to(place)
                    break
                if turn + 1 < times and step.row:
                    self.row += 1
                    self.return_to(self.routes[-1][1])
        for struggle in self.struggles:
            struggle.reached |= struggle.task == task.name and not struggle.step.minor
        return True

    def run(self) -> None:
        """The visit."""
        self.routes.append((0.0, self.tasks[0].start.replace("{item}", self.item)))
        self.navigate(self.tasks[0].start, "link", gets=2)
        queue, again = list(self.tasks), set[str]()
        while queue and not self.over:
            task = queue.pop(0)
            done = self.pursue(task)
            if not done and not self.over and task.name not in again and self.rng.random() < 0.35 * task.want:
                again.add(task.name)
                queue.append(task)
        if self.dropped < float("inf") and not any(
            each.at > self.dropped and each.control is not _BODY for each in self._acts()
        ):
            self.struggles[-1].left = True
        if not self.over:
            self.read(6_000)
            self.close()
        self.background()
        for moment in self.moments:
            if moment.owner is not None and moment.tells(self.app.collector):
                moment.owner.visible = True
        for each in self.struggles:
            each.parted = self.person.goodbye and self.app.collector.session_end

    def close(self) -> None:
        """The end of the visit; only some ends are told."""
        self.over, self.ended = True, self.now
        self.unload()
        if self.person.goodbye:
            self.note("session_end")

    def background(self) -> None:
        """All that the pages did by themselves between the first moment and the last."""
        self.struggle, self.row, end = None, -1, self.now
        for each in self.app.background:
            at = self.rng.random() * each.every[1]
            while at < end:
                self.now = at
                if self._active(each, at):
                    self._tick(each)
                at += self.rng.uniform(*each.every)
        self.now = end

    def _active(self, each: Background, at: float) -> bool:
        route = next(route for since, route in reversed(self.routes) if since <= at)
        recent = not each.busy or any(at - 60_000 < moment <= at for moment in self.inputs)
        return route.startswith(each.routes) and recent

    def _tick(self, each: Background) -> None:
        data: dict[str, Any]
        if each.error:
            data = {"errorType": each.error_type, "message": each.error}
            self.note("error", **(data | ({"source": each.source} if each.source else {})))
            return
        answer = self.answer(each.call, self.now)
        blocked = each.call.third_party and self.person.blocks_ads
        if blocked or (answer.ok and self.rng.random() < each.fails):
            answer = Answer(0 if blocked else each.status, 20 + self.rng.random() * 200)
        if self.now + answer.ms > self.ended:
            return  # the page is gone before the answer
        data = {"status": answer.status, "method": each.call.method, "url": each.call.url, "durationMs": int(answer.ms)}
        self.note("network", after=answer.ms, **(data | ({"thirdParty": True} if each.call.third_party else {})))


def worst(struggles: list[Struggle], app: Application) -> tuple[bool, str, str]:
    """Frustrated or not; route and name of the control they suffered most from ("" and "" if not)."""
    suffered = [each for each in struggles if each.frustrated]
    if not suffered:
        return False, "", ""
    each = max(suffered, key=lambda one: one.suffering)
    return True, each.route, name_of(each.control, app.collector)
