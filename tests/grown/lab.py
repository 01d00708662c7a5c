"""Label Studio: a single-page application over a REST API; a failure is a message over the page."""

from __future__ import annotations

from tests.grown.blocks import load_blocks
from tests.grown.controls import Control, find_control, place_control
from tests.grown.world import Act, Moment, Outcome, Pen, draw_message

ACTS = (
    Act("submit", "data", "submit", "POST", "/api/tasks/{t}/annotations", steps=2, label_busy="overlay"),
    Act("update", "data", "update", "PATCH", "/api/annotations/{a}", steps=2, label_busy="overlay"),
    Act("skip", "data", "skip", "POST", "/api/tasks/{t}/annotations", steps=1, label_busy="overlay"),
    Act(
        "save",
        "settings",
        "save",
        "PATCH",
        "/api/projects/{p}",
        "settings-form",
        ("title", "description"),
        steps=1,
        refusable=True,
    ),
    Act(
        "create", "/projects", "new-save", "POST", "/api/projects", "", ("new-name", "new-description"), "data", 1, True
    ),
    Act(
        "import",
        "data",
        "import-add",
        "POST",
        "/api/projects/{p}/import",
        "import-form",
        ("import-url",),
        steps=1,
        refusable=True,
        other="import-file",
    ),
    Act(
        "import-file",
        "data",
        "import-go",
        "POST",
        "/api/projects/{p}/import",
        "",
        ("import-file",),
        steps=1,
        other="import",
    ),
    Act("export", "data", "export-go", "GET", "/api/projects/{p}/export", steps=1),
    Act("config", "config", "config-save", "PATCH", "/api/projects/{p}", "", ("config-code",), steps=1, refusable=True),
    Act(
        "storage",
        "storage",
        "storage-add",
        "POST",
        "/api/storages/s3",
        "storage-form",
        ("storage-bucket", "storage-key"),
        steps=1,
        refusable=True,
    ),
    Act(
        "hook",
        "hook",
        "hook-save",
        "POST",
        "/api/webhooks/",
        "hook-form",
        ("hook-url", "hook-header"),
        steps=1,
        refusable=True,
    ),
    Act("filter", "data", "filters", "GET", "/api/tasks"),
)

PAGES = {
    "data": "/data",
    "settings": "/settings",
    "config": "/settings/labeling",
    "storage": "/settings/storage",
    "hook": "/settings/webhooks",
}
TABS = {"config": "config-tab", "storage": "storage-tab", "hook": "hook-tab"}
OPENERS = {"import": "import", "import-file": "import", "export": "export", "create": "create"}


class Lab:
    """Label Studio as the person meets it."""

    name = "labelstudio"
    acts = ACTS

    def __init__(self, pen: Pen) -> None:
        """Choose the project and the task of the session."""
        self.pen = pen
        pen.title = "Label Studio"
        self.on_error = False
        self.message = draw_message(pen.rng)
        self.project = pen.rng.randint(11, 95)
        self.choose_item()

    def choose_item(self) -> None:
        """Choose a task."""
        self.task = self.pen.rng.randint(600, 2400)
        self.mark = self.pen.rng.randint(200, 900)
        self.place = self.pen.rng.randint(1, 14)

    def find_control_here(self, key: str) -> Control:
        """Return a control, with the place of this session."""
        base = find_control("labelstudio", key)
        if key == "row":
            texts = ("The parcel came two days late.", "The size chart is wrong.", "Your app keeps my basket, lovely.")
            label = f"{texts[self.task % 3]} Order {self.place}."
            return place_control(base, self.place, label, "")
        if key == "choice":
            label = ("Positive", "Neutral", "Negative")[self.mark % 3]
            return Control(base.key, base.chain, label)
        addresses = {
            "crumb": "/projects",
            "settings-link": self.route_of("settings"),
            "project-card": self.route_of("data"),
        }
        return Control(base.key, base.chain, base.label, addresses.get(key, ""))

    def route_of(self, name: str) -> str:
        """Return the path of a page name."""
        return f"/projects/{self.project}{PAGES[name]}" if name in PAGES else name

    def load_page(self, route: str, spent: float = 0.0, how: str = "link", soft: bool = False) -> None:
        """Load a page (or push one) and send the requests that start it."""
        pen = self.pen
        spent = 40.0 if soft else spent or pen.draw_spent("labelstudio", "GET", route)
        self.on_error = False
        pen.write_page(route, spent, title="Label Studio", status=200, how=how, soft=soft)
        shape = "/projects/N/" + ("data" if route.endswith("/data") else "settings")
        if route.startswith("/projects/"):
            for method, path, status, delay in load_blocks()["startup"][shape]:
                if soft and path in ("/api/version", "/heidi-tips", "/api/current-user/whoami"):
                    continue
                begun = pen.now
                pen.now += delay * pen.machine * 0.5
                took = pen.draw_spent("labelstudio", method, path)
                pen.write_request(method, path.replace("/N", f"/{self.project}"), status, took, background=True)
                pen.now = begun
        pen.now += pen.rng.uniform(400, 1500)

    def enter_app(self) -> None:
        """Come to the projects, by the login or with a session."""
        pen = self.pen
        if pen.rng.random() < 0.3:
            pen.write_page("/user/login/", pen.draw_spent("labelstudio", "GET", "/projects"), how="enter", soft=False)
            pen.write_request("GET", "/heidi-tips", 404, 300 * pen.machine + 40, background=True)
            pen.let_think(0.5)
            pen.fill_field(self.find_control_here("login-name"))
            pen.fill_field(self.find_control_here("login-password"))
            pen.write_click(self.find_control_here("login"))
            pen.write_note("submit", self.find_control_here("login-form"))
            pen.let_pass(0.1, 0.6)
            self.load_page("/projects")
        else:
            self.load_page(pen.rng.choice(("/projects", self.route_of("data"))), how="enter")
        pen.let_think(0.6)

    def look_around(self, count: int) -> None:
        """Look around: tasks, projects, settings."""
        pen = self.pen
        for _ in range(count):
            if pen.rng.random() < 0.6:
                self.to_page("data")
                kept = (self.task, self.mark, self.place)
                self.choose_item()
                self.open_task()
                self.task, self.mark, self.place = kept
            else:
                self.to_page(pen.rng.choice(("settings", "/projects")))
            pen.let_think()

    def to_page(self, name: str) -> None:
        """Go to a page by the links of the application."""
        goal, pen = self.route_of(name), self.pen
        if pen.route == goal:
            return
        if name == "/projects":
            pen.write_click(self.find_control_here("crumb"))
            pen.now += 20
            self.load_page(goal, soft=True)
            return
        if pen.route == "/projects" or name == "data":
            if pen.route != "/projects":
                self.to_page("/projects")
                pen.let_think(0.5)
            pen.write_click(self.find_control_here("project-card"))
            pen.now += 20
            self.load_page(self.route_of("data"), soft=True)
        if name != "data":
            if not pen.route.startswith(self.route_of("settings")):
                pen.let_think(0.4)
                pen.write_click(self.find_control_here("settings-link"))
                pen.now += 20
                self.load_page(self.route_of("settings"), soft=True)
            if name in TABS:
                pen.let_think(0.4)
                pen.write_click(self.find_control_here(TABS[name]))
                pen.now += 20
                pen.write_page(goal, 40.0, how="link", soft=True)

    def open_task(self) -> None:
        """Open a task of the table."""
        pen = self.pen
        pen.write_click(self.find_control_here("row"))
        for path in (
            f"/api/tasks/{self.task}",
            f"/api/projects/{self.project}/label-stream-history",
            "/api/label_links",
        ):
            pen.write_request("GET", path, 200, pen.draw_spent("labelstudio", "GET", path), background=True)
        pen.let_think(0.8)

    def choose_label(self, draft_status: int = 201) -> None:
        """Choose a label, which saves a draft in the background."""
        pen = self.pen
        pen.write_click(self.find_control_here("choice"))
        took = pen.draw_spent("labelstudio", "POST", f"/api/tasks/{self.task}/drafts")
        pen.now += 500
        pen.write_request("POST", f"/api/tasks/{self.task}/drafts", draft_status, took, background=True)
        pen.let_think(0.3)

    def reach_deed(self, act: Act, fill: bool = True) -> None:
        """Go to the page of a deed and prepare it."""
        self.to_page(act.page)
        self.pen.let_think(0.6)
        if fill:
            self.prepare_deed(act)

    def prepare_deed(self, act: Act) -> None:
        """Open the dialog of a deed, fill its fields, choose its label."""
        pen = self.pen
        if act.key in OPENERS:
            pen.write_click(self.find_control_here(OPENERS[act.key]))
            pen.let_pass(0.6, 2.5)
        if act.key in ("submit", "update", "skip"):
            self.open_task()
            if act.key != "skip":
                self.choose_label()
        for name in act.fields:
            if name == "import-file":
                pen.write_click(self.find_control_here(name))
                pen.let_pass(2, 6)
                pen.write_note("change", self.find_control_here(name))
            else:
                pen.fill_field(self.find_control_here(name))

    def path_of(self, act: Act) -> str:
        """Return the path that a deed asks for."""
        return act.path.format(t=self.task, a=self.mark, p=self.project)

    def attempt_deed(self, act: Act, outcome: Outcome, clicks: int = 1) -> None:
        """Do a deed once, by one click or a burst; each click that gets through asks again."""
        pen, control = self.pen, self.find_control_here(act.control)
        bad = outcome.kind not in ("ok", "slow") or outcome.status >= 400
        free_at, at = 0.0, pen.now
        for index in range(clicks):
            if index:
                at += pen.burst_gap()
            if at < free_at:
                overlay = act.label_busy == "overlay" and at - pen.now > 250
                shown = self.find_control_here("overlay") if overlay else control
                facts = {"waiting": True, "disabled": not overlay}
                pen.moments.append(Moment(at, "click", pen.route, shown, bad, facts))
                continue
            pen.moments.append(Moment(at, "click", pen.route, control, bad))
            free_at = self.send_request(act, outcome, at, bad)
            if not bad:
                at = max(at, free_at)
                break
        if outcome.kind == "hang" and pen.rng.random() < 0.6:
            free_at = min(free_at, at + pen.rng.uniform(6_000, 20_000))
        pen.now = max(at, min(free_at, at + 40_000)) + 120
        if not bad:
            self.arrive_after(act)

    def send_request(self, act: Act, outcome: Outcome, at: float, bad: bool) -> float:
        """Send the request of a deed after a click; return when it is answered."""
        pen, begun = self.pen, self.pen.now
        skew = float(pen.rng.choice(load_blocks()["skew"])) * min(1.0, pen.machine * 3) + 3
        if outcome.kind == "blocked":
            return at
        if act.form and outcome.kind != "crash":
            pen.moments.append(Moment(at + 6, "submit", pen.route, self.find_control_here(act.form), bad))
        if outcome.kind == "crash":
            message = self.message
            pen.moments.append(
                Moment(at + skew, "crash", pen.route, self.find_control_here(act.control), True, {"message": message})
            )
            return at
        path, pen.now = self.path_of(act), at + skew
        good = 201 if act.method == "POST" else 200
        status = {"ok": good, "slow": outcome.status or good, "refused": 400, "hang": 0}
        took = outcome.spent or (pen.fault_time() if bad else pen.draw_spent("labelstudio", act.method, path))
        if outcome.kind == "hang":
            took = outcome.spent or pen.rng.choice((20_000, 30_000, 45_000))
        sent = pen.write_request(act.method, path, status.get(outcome.kind, outcome.status), took, bad)
        pen.now = begun
        self.on_error = bad and act.label_busy != "overlay"
        return sent.at

    def arrive_after(self, act: Act) -> None:
        """Go on after a deed that worked."""
        pen = self.pen
        if act.label_busy == "overlay":
            self.choose_item()
            pen.write_request(
                "GET",
                f"/api/tasks/{self.task}",
                200,
                pen.draw_spent("labelstudio", "GET", "/api/tasks/1"),
                background=True,
            )
        if act.done:
            self.project += 1
            self.load_page(self.route_of(act.done), soft=True)
        pen.write_request(
            "GET", "/api/dm/project", 200, pen.draw_spent("labelstudio", "GET", "/api/dm/project"), background=True
        )

    def get_back(self, act: Act, again: bool = True) -> None:
        """Close the message over the page, then touch the form again."""
        pen = self.pen
        pen.let_pass(1, 4)
        if self.on_error and pen.rng.random() < 0.6:
            pen.write_click(self.find_control_here(pen.rng.choice(("modal", "modal-close"))))
            pen.let_pass(0.5, 2)
        if again and act.fields and act.fields[-1] != "import-file" and pen.rng.random() < 0.5:
            pen.fill_field(self.find_control_here(act.fields[0]))

    def restart_deed(self, act: Act) -> None:
        """Reload the page and prepare the deed again."""
        self.load_page(self.pen.route, how="reload")
        self.pen.let_pass(1, 4)
        self.prepare_deed(act)

    def do_well(self, key: str) -> None:
        """Do a deed that works."""
        act = next(act for act in ACTS if act.key == key)
        self.reach_deed(act)
        self.attempt_deed(act, Outcome("ok"))
        self.pen.let_think()

    def find_act(self, key: str) -> Act:
        """Return a deed by its key."""
        return next(act for act in ACTS if act.key == key)

    def leave_app(self, seen: bool = False) -> None:
        """Leave: to the projects and away, or at once."""
        if seen or self.pen.rng.random() < 0.5:
            self.to_page("/projects" if self.pen.route != "/projects" else "data")
            self.pen.let_pass(1, 6)
        self.pen.shut = True
