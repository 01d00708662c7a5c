"""What an SDK shows of the moments of a session, as events of the contract in order of arrival."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.grown.blocks import load_blocks
from tests.grown.controls import Control, find_control
from tests.grown.naming import Target, find_actionable, name_target
from tests.grown.noise import by_time
from tests.grown.profiles import Profile
from tests.grown.world import Moment

Json = dict[str, Any]
LISTED = {"category", "product", "row", "choice", "pager", "pod-add", "pod-form"}
RAGE_MS = 1000
RAGE_COUNT = {"posthog": (3, "rageclick"), "amplitude": (4, "rage_click"), "mixpanel": (4, "rage_click")}
LEAF_ECHO = {"posthog", "sentry", "otel", "mixpanel", "amplitude"}


@dataclass
class Shown:
    """One reported event, when it arrives, and whether it shows something of the person's failure."""

    event: Json
    at: float
    arrival: float
    failure: bool = False
    strong: bool = False


class Lens:
    """One SDK looking at one session."""

    def __init__(self, profile: Profile, app: str, rng: random.Random) -> None:
        """Draw the session id and the options of the SDK."""
        self.profile, self.app, self.rng = profile, app, rng
        self.session = self.draw_session()
        self.replay = profile.name != "sentry" or rng.random() < 0.6
        self.capture = profile.requests != "failed" or rng.random() < 0.6
        self.spot = (rng.randint(100, 900), rng.randint(150, 800))
        self.spot_at = 0.0
        self.spot_key = ""
        self.shown: list[Shown] = []

    def draw_id(self) -> str:
        """Draw a random id."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def draw_session(self) -> str:
        """Draw a session id in the way of the SDK."""
        name = self.profile.name
        if name in ("otel", "sentry"):
            return f"{self.rng.getrandbits(128):032x}"
        if name == "faro":
            return "".join(self.rng.choice("abcdefghkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(10))
        if name == "amplitude":
            return f"{self.draw_id()}-{self.rng.randint(1795000000000, 1795999999999)}"
        if name == "rudderstack":
            return str(self.rng.randint(1795000000000, 1795999999999))
        return f"u-{self.rng.getrandbits(48):012x}" if name == "elastic" else self.draw_id()

    def target_of(self, control: Control, label: str = "") -> Target | None:
        """Name a control as the SDK does: as recorded if it was, else by its rule."""
        name = self.profile.name
        recorded = load_blocks()["targets"][self.app].get(control.key, {}).get(name)
        if recorded and control.key not in LISTED and self.replay:
            target: Target = dict(recorded)
            if label and "label" in target and find_actionable(control.chain):
                target["label"] = label
            return target
        rule = name if self.replay else "sentry-inp"
        found = name_target(rule, control.chain, label or control.label, control.href)
        if found is None:
            return None
        if control.chain[-1].tag in ("input", "textarea", "select") and name in ("posthog", "amplitude"):
            found.pop("label", None)
        return {key: value for key, value in found.items() if value}

    def emit_event(
        self, kind: str, moment: Moment, at: float, target: Target | None = None, strong: bool = False, **meta: Any
    ) -> None:
        """Write one event of the contract; its arrival is drawn from the recorded delays."""
        stamp: Any = round(at)
        if self.profile.text_time:
            stamp = datetime.fromtimestamp(stamp / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event: Json = {"eventType": kind, "timestamp": stamp, "sessionId": self.session, "route": moment.route}
        if target:
            event["target"] = target
        event["metadata"] = {key: value for key, value in meta.items() if value is not None}
        if self.profile.keys:
            event["idempotencyKey"] = self.draw_id()
        delays = load_blocks()["lags"].get(self.profile.name, {})
        samples = delays.get(kind) or delays.get("navigation") or [1000]
        lag = float(self.rng.choice(samples)) * self.rng.uniform(0.5, 1.0)
        failure = moment.failure and (strong or not moment.facts.get("usual"))
        self.shown.append(Shown(event, at, at + lag, failure, strong and failure))

    def see_moments(self, moments: list[Moment]) -> list[Shown]:
        """Look at all moments; return what is reported, in order of arrival."""
        ordered = by_time(moments)
        for index, moment in enumerate(ordered):
            getattr(self, f"see_{moment.kind}")(moment, ordered, index)
        if self.profile.name == "datadog":
            self.fold_rages()
        if self.profile.name in RAGE_COUNT:
            self.flag_rages(*RAGE_COUNT[self.profile.name])
        self.send_again()
        return sorted(self.shown, key=lambda shown: shown.arrival)

    def see_page(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show a page view."""
        facts, profile = moment.facts, self.profile
        spent, soft = float(facts["spent"]), bool(facts.get("soft"))
        at = moment.at if profile.early or soft else moment.at + spent
        if soft and profile.name == "faro":
            return
        pushed = "push" if soft and profile.pushes and profile.name != "sentry" else None
        how = {"back": "back_forward", "reload": "reload"}.get(str(facts.get("how"))) if profile.how else None
        status = int(facts.get("status", 200)) if not soft else None
        title = str(facts.get("title")) if profile.titles and facts.get("title") else None
        origin = (
            str(facts["origin"]) if soft and profile.name == "sentry" and self.replay and facts.get("origin") else None
        )
        meta: Json = {"navigationType": pushed or how, "title": title}
        meta |= {"status": status if profile.page_status else None, "from": origin}
        meta |= {"durationMs": round(spent) if profile.page_time and not soft else None}
        error = moment.failure and int(facts.get("status", 200)) >= 400
        if profile.name == "posthog" and not soft and moment.route.endswith("/settings"):
            for key in ("title", "description"):
                field = self.field_of(find_control(self.app, key))
                self.emit_event("input", moment, moment.at + spent + 90, field, action="change")
        if profile.leaves and not soft and facts.get("origin"):
            left = Moment(moment.at, "hidden", str(facts["origin"]))
            self.emit_event("visibility", left, moment.at, state="hidden")
        self.emit_event("navigation", moment, at, None, error and (profile.titles or profile.page_status), **meta)
        if profile.documents and not soft:
            doc = {"status": status, "url": moment.route, "durationMs": round(spent), "resourceType": "document"}
            self.emit_event("network", moment, moment.at + spent, None, error, **doc)

    def place_of(self, moment: Moment) -> tuple[int, int] | None:
        """Return where a click was: near the last one in a burst, else where its control stands."""
        if not self.profile.places:
            return None
        key = moment.control.key if moment.control else ""
        wide = self.profile.name != "datadog"
        moved = moment.at - self.spot_at > 1600 or key not in ("overlay", "body")
        if moved and key != self.spot_key:
            low, wide_at, high_at = (60, 1200, 800) if wide else (8, 140, 32)
            self.spot = (self.rng.randint(low, wide_at), self.rng.randint(low // 2, high_at))
            self.spot_key = key
        self.spot_at = moment.at
        return self.spot[0] + self.rng.randint(-5, 5), self.spot[1] + self.rng.randint(-4, 4)

    def see_click(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show a click, if the SDK reports clicks like this one."""
        mode, control, facts = self.profile.clicks, moment.control, moment.facts
        if control is None or mode == "none" or (facts.get("disabled") and mode != "all"):
            return
        if mode == "asking" and not self.asks_server(moment, ordered, index):
            return
        if not self.replay and self.rng.random() < 0.45 and not self.crashes_after(ordered, index):
            return
        target = self.target_of(control, control.label if facts.get("disabled") else "")
        if target is None:
            return
        place = self.place_of(moment)
        meta: Json = {"x": place[0], "y": place[1]} if place else {}
        late = self.rng.uniform(0, 5)
        flag = self.flag_of(moment, ordered, index)
        if self.profile.name == "datadog":
            meta["frustrationTypes"] = flag
        self.emit_event(
            "click", moment, moment.at + late, target, bool(flag) and self.profile.name == "datadog", **meta
        )
        if control.key == "choice" and self.profile.name in LEAF_ECHO:
            echo = self.target_of(find_control(self.app, "choice-input"))
            self.emit_event("click", moment, moment.at + self.rng.uniform(3, 70), echo)
        if flag == "dead_click" and self.profile.name in ("posthog", "amplitude", "mixpanel"):
            wait = {"posthog": 2500, "amplitude": 3000, "mixpanel": 500}[self.profile.name]
            at = moment.at + late + (wait if self.profile.name != "amplitude" else 0)
            link = control.chain[-1].tag == "a"
            self.emit_event("click", moment, at, target, not link, frustrationTypes=flag, **meta)

    def asks_server(self, moment: Moment, ordered: list[Moment], index: int) -> bool:
        """Tell whether a request begins shortly after a click."""
        for other in ordered[index + 1 : index + 8]:
            begun = other.at - float(other.facts.get("spent", 0))
            if other.kind == "request" and 0 <= begun - moment.at < 500 and not other.facts.get("foreign"):
                return True
        return False

    def crashes_after(self, ordered: list[Moment], index: int) -> bool:
        """Tell whether a crash follows a click at once."""
        near = ordered[index + 1 : index + 3]
        return any(m.kind == "crash" and m.at - ordered[index].at < 500 for m in near)

    def flag_of(self, moment: Moment, ordered: list[Moment], index: int) -> str | None:
        """Return the flag that the SDK's own rules set on a click, true or false."""
        if self.profile.name == "datadog" and moment.failure:
            for other in ordered[index + 1 : index + 4]:
                near = other.failure and other.at - moment.at < 1200
                if near and (other.kind == "crash" or (other.kind == "request" and other.facts["status"] >= 500)):
                    return "error_click"
        dead = moment.facts.get("disabled") and moment.failure
        answered = any(m.at - moment.at < 2500 for m in ordered[index + 1 : index + 6] if m.kind in ("page", "request"))
        if self.profile.name == "datadog":
            return "dead_click" if dead else None
        tag = moment.control.chain[-1].tag if moment.control else ""
        if self.profile.name == "mixpanel" and tag == "a":
            return "dead_click" if self.rng.random() < 0.4 else None
        if answered:
            return None
        chance = 0.7 if moment.failure else 0.04 if tag == "input" else 0.01
        return "dead_click" if self.rng.random() < chance else None

    def see_request(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show a request, if the SDK reports requests like this one."""
        facts, mode = moment.facts, self.profile.requests
        status = int(facts["status"])
        failed = status == 0 or status >= 400
        if mode == "none" or not self.capture or (mode == "failed" and not (status == 0 or status >= 500)):
            return
        if facts.get("aborted") and self.rng.random() < 0.5:
            return
        spent = round(float(facts["spent"])) if self.profile.name != "amplitude" else None
        unknown = status == 0 and self.profile.name == "sentry"
        meta: Json = {"status": None if unknown else status, "url": facts["path"], "durationMs": spent}
        meta["method"] = facts["method"] if self.profile.name != "amplitude" else None
        meta["thirdParty"] = True if facts.get("foreign") else None
        meta["resourceType"] = "fetch" if self.profile.name == "datadog" else None
        self.emit_event("network", moment, moment.at, None, failed and not unknown, **meta)

    def see_crash(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show an uncaught error."""
        if not self.profile.crashes:
            return
        message = str(moment.facts["message"])
        prefix = {"sentry": "TypeError: ", "snowplow": "Uncaught TypeError: "}.get(self.profile.name, "")
        if moment.facts.get("foreign"):
            prefix = ""
        self.emit_event("error", moment, moment.at, None, True, errorType="javascript", message=prefix + message)

    def see_file(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show a file that did not load, in the way of the SDK."""
        facts = moment.facts
        foreign = True if facts["foreign"] else None
        if self.profile.files == "error":
            element = "SCRIPT" if facts["foreign"] else "IMG"
            text = f"Non-script error on {element} element"
            self.emit_event(
                "error",
                moment,
                moment.at,
                errorType="resource",
                message=text,
                source=facts["source"],
                thirdParty=foreign,
            )
        elif self.profile.files == "request" and not facts["foreign"] and self.rng.random() < 0.3:
            spent, source = round(float(facts["spent"])), facts["source"]
            self.emit_event(
                "network", moment, moment.at, status=404, url=source, durationMs=spent, resourceType="image"
            )

    def see_submit(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show the submission of a form."""
        if not self.profile.submits or moment.control is None:
            return
        leaf = moment.control.chain[-1]
        target: Target = {"type": "form", "id": leaf.ident}
        if self.profile.name in ("otel", "posthog", "mixpanel"):
            target = self.target_of(moment.control) or target
        self.emit_event("form_submit", moment, moment.at, {key: value for key, value in target.items() if value})

    def see_change(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show that a field was changed."""
        if self.profile.changes and moment.control:
            self.emit_event("input", moment, moment.at, self.field_of(moment.control), action="change")

    def see_focus(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show that a field got the focus."""
        if self.profile.focuses and moment.control:
            self.emit_event("input", moment, moment.at, self.field_of(moment.control), action="focus")

    def field_of(self, control: Control) -> Target:
        """Name a field; Snowplow names it by its form name."""
        leaf = control.chain[-1]
        if self.profile.name == "snowplow":
            name = dict(leaf.attrs).get("name") or leaf.ident.removeprefix("id_")
            return {"type": "input", "id": name, "tagName": leaf.tag}
        return self.target_of(control) or {"type": "input"}

    def see_scroll(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show a scroll."""
        if self.profile.scrolls:
            self.emit_event("scroll", moment, moment.at, depth=moment.facts["depth"])

    def see_hidden(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show that the tab was hidden."""
        if self.profile.leaves:
            self.emit_event("visibility", moment, moment.at, state="hidden")

    def see_visible(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show nothing: no SDK of the set reports that a tab is visible again."""

    def see_files(self, moment: Moment, ordered: list[Moment], index: int) -> None:
        """Show nothing: the files of a page are moments of their own."""

    def fold_rages(self) -> None:
        """Fold three and more fast clicks on one control into one action, as Datadog does."""
        clicks = sorted((s for s in self.shown if s.event["eventType"] == "click"), key=lambda s: s.at)
        runs: list[list[Shown]] = []
        for shown in clicks:
            last = runs[-1][-1] if runs else None
            near = last is not None and shown.at - last.at <= RAGE_MS
            if last is not None and near and shown.event.get("target") == last.event.get("target"):
                runs[-1].append(shown)
            else:
                runs.append([shown])
        folded: set[int] = set()
        for run in runs:
            if any(run[i + 2].at - run[i].at <= RAGE_MS for i in range(len(run) - 2)):
                run[0].event["metadata"]["frustrationTypes"] = "rage_click"
                run[0].strong = run[0].failure
                folded |= {id(shown) for shown in run[1:]}
        self.shown = [shown for shown in self.shown if id(shown) not in folded]

    def flag_rages(self, count: int, name: str) -> None:
        """Report a rage of so many fast clicks on one place as an event of its own, right or wrong."""
        clicks = sorted((s for s in self.shown if s.event["eventType"] == "click"), key=lambda s: s.at)
        run: list[Shown] = []
        for shown in clicks:
            if "frustrationTypes" in shown.event["metadata"]:
                continue
            same = bool(run) and run[-1].event.get("target") == shown.event.get("target")
            run = [*run, shown] if same and shown.at - run[-1].at <= RAGE_MS else [shown]
            if len(run) == count:
                event = dict(shown.event, metadata=shown.event["metadata"] | {"frustrationTypes": name})
                event["idempotencyKey"] = self.draw_id()
                self.shown.append(Shown(event, shown.at, shown.arrival, shown.failure, shown.failure))

    def send_again(self) -> None:
        """Send some events twice with the same key, as some SDKs do around a page change."""
        if not self.profile.resends:
            return
        again = [s for s in self.shown if self.rng.random() < self.profile.resends * 0.3]
        for shown in again:
            late = shown.arrival + self.rng.uniform(500, 6000)
            self.shown.append(Shown(shown.event, shown.at, late, False, False))

    def load_twice(self) -> None:
        """Report every event by a second copy of the SDK, with keys of its own."""
        for shown in list(self.shown):
            event = dict(shown.event)
            if "idempotencyKey" in event:
                event["idempotencyKey"] = self.draw_id()
            if not self.profile.text_time:
                event["timestamp"] = shown.event["timestamp"] + self.rng.randint(0, 3)
            self.shown.append(Shown(event, shown.at, shown.arrival + self.rng.uniform(0, 40), shown.failure, False))
