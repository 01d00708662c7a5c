"""Oscar, the shop: server-rendered pages and plain forms; a failure is a page."""

from __future__ import annotations

from tests.grown.blocks import load_blocks
from tests.grown.controls import Control, find_control, place_control
from tests.grown.world import Act, Moment, Outcome, Pen, draw_message

ACTS = (
    Act(
        "add",
        "product",
        "add",
        "POST",
        "/basket/add/{n}/",
        "add-form",
        done="product",
        other="pod-add",
        label_busy="Adding...",
    ),
    Act("pod-add", "category", "pod-add", "POST", "/basket/add/{n}/", "pod-form", done="category", other="add"),
    Act("wish", "product", "wish", "POST", "/accounts/wishlists/add/{n}/", "wish-form", done="product"),
    Act("update", "/basket/", "update", "POST", "/basket/", "basket-form", ("quantity",), "/basket/", 1),
    Act(
        "voucher",
        "/basket/",
        "voucher-add",
        "POST",
        "/basket/vouchers/add/",
        "voucher-form",
        ("voucher",),
        "/basket/",
        1,
        True,
    ),
    Act(
        "gateway",
        "/checkout/",
        "gateway",
        "POST",
        "/checkout/",
        "gateway-form",
        ("username", "guest"),
        "/checkout/shipping-address/",
        2,
        True,
        label_busy="Continuing...",
    ),
    Act(
        "shipping",
        "/checkout/shipping-address/",
        "shipping",
        "POST",
        "/checkout/shipping-address/",
        "shipping-form",
        ("first-name", "last-name", "line1", "city", "postcode", "country"),
        "/checkout/payment-details/",
        3,
        True,
        label_busy="Continuing...",
    ),
    Act(
        "place",
        "/checkout/preview/",
        "place",
        "POST",
        "/checkout/preview/",
        "place-form",
        (),
        "/checkout/thank-you/",
        4,
        label_busy="Submitting...",
    ),
    Act(
        "login",
        "/accounts/login/",
        "login",
        "POST",
        "/accounts/login/",
        "login-form",
        ("login-name", "login-password"),
        "/accounts/profile/",
        1,
        True,
    ),
    Act(
        "review",
        "review",
        "review-save",
        "POST",
        "{page}",
        "review-form",
        ("review-title", "review-body"),
        "product",
        1,
        True,
    ),
    Act("open", "category", "product", "GET", "{product}", done="product"),
    Act("search", "/catalogue/", "search-go", "GET", "/search/", "search-form", ("search",), "/search/"),
)

FIRST = ("Broken", "Burning", "Hidden", "Last", "Northern", "Silent", "Winter")
SECOND = ("Garden", "Kitchen", "Engine", "Clock", "Island", "Map", "River", "Harbour", "Window")
ERROR_TITLES = {500: "Server Error", 502: "Server Error", 503: "Server Error", 504: "Server Error"}


class Shop:
    """The shop as the person meets it."""

    name = "oscar"
    acts = ACTS

    def __init__(self, pen: Pen) -> None:
        """Choose the category and the product of the session."""
        self.pen = pen
        self.on_error = False
        self.message = draw_message(pen.rng)
        self.choose_item()

    def choose_item(self) -> None:
        """Choose a category and a product: one of the recordings or one of the same making."""
        rng = self.pen.rng
        known = load_blocks()["catalogue"]
        self.product: str
        self.category: str
        self.category, self.category_title = rng.choice(sorted(known["categories"].items()))
        if rng.random() < 0.35:
            self.product, self.product_title = rng.choice(sorted(known["products"].items()))
        else:
            words, volume = (rng.choice(FIRST), rng.choice(SECOND)), rng.choice(("", "", ", volume 1", ", volume 2"))
            self.product_title = f"The {words[0]} {words[1]}{volume}"
            slug = self.product_title.lower().replace(",", "").replace(" ", "-")
            self.product = f"/catalogue/{slug}_{rng.randint(1, 60)}/"
        self.place = rng.randint(1, 16)

    @property
    def product_number(self) -> str:
        """Return the number of the product."""
        return self.product.rstrip("/").rsplit("_", 1)[-1]

    def find_control_here(self, key: str) -> Control:
        """Return a control, with the place, label and address of this session."""
        base = find_control("oscar", key)
        if key == "category":
            number = int(self.category.rstrip("/").rsplit("_", 1)[-1])
            return place_control(base, number, self.category_title, self.category)
        if key == "trail":
            return Control(base.key, base.chain, self.category_title, self.category)
        if key in ("product", "pod-add", "pod-form"):
            label = self.product_title if key == "product" else base.label
            short = label if len(label) < 25 else label[:22] + " …"
            return place_control(base, self.place, short, self.product)
        addresses = {"home": "/catalogue/", "checkout-now": "/checkout/", "view-basket": "/basket/"}
        addresses |= {"proceed": "/checkout/", "payment": "/checkout/preview/", "login-link": "/accounts/login/"}
        addresses |= {"review-link": self.product + "reviews/add/", "pager": "/catalogue/"}
        return Control(base.key, base.chain, base.label, addresses.get(key, ""))

    def route_of(self, name: str) -> str:
        """Return the path of a page name."""
        names = {"product": self.product, "category": self.category, "review": self.product + "reviews/add/"}
        return names.get(name, name)

    def title_of(self, route: str) -> str:
        """Return the title of a page."""
        if route == self.product:
            return f"{self.product_title} | Harbour Books -"
        if route == self.category:
            return f"{self.category_title} | Harbour Books -"
        extra = {"/basket/": "Basket | Harbour Books -", "/accounts/login/": "Login or register | Harbour Books -"}
        extra |= {
            "/accounts/profile/": "Profile | Harbour Books -",
            "/search/": "Search results | Harbour Books -",
            "/checkout/thank-you/": "Order confirmed | Harbour Books -",
        }
        title = extra.get(route) or load_blocks()["titles"].get(route)
        return str(title or "Harbour Books -")

    def load_page(
        self,
        route: str,
        spent: float = 0.0,
        failure: bool = False,
        how: str = "link",
        status: int = 200,
        usual: bool = False,
    ) -> None:
        """Load a page."""
        pen = self.pen
        title = ERROR_TITLES.get(status) or self.title_of(route)
        spent = spent or pen.draw_spent("oscar", "GET", route)
        pen.write_page(route, spent, failure, title=title, status=status, how=how, soft=False, usual=usual)
        self.on_error = status >= 400
        if status == 200:
            pen.write_note("files")

    def follow_link(self, key: str, route: str) -> None:
        """Click a link and wait for its page."""
        self.pen.write_click(self.find_control_here(key))
        self.pen.now += self.pen.rng.uniform(5, 90)
        self.load_page(route)

    def enter_app(self) -> None:
        """Come to the shop: to the front page, or from a search to a category or a product."""
        chance = self.pen.rng.random()
        page = self.product if chance < 0.12 else self.category if chance < 0.22 else "/catalogue/"
        self.load_page(page, how="enter")
        self.pen.let_think()

    def look_around(self, count: int) -> None:
        """Look around: categories, products, pages of the list."""
        pen = self.pen
        kept = (self.category, self.category_title, self.product, self.product_title, self.place)
        for _ in range(count):
            if pen.rng.random() < 0.8:
                self.choose_item()
            if pen.rng.random() < 0.15 and pen.route == "/catalogue/":
                pen.write_scroll()
                self.follow_link("pager", "/catalogue/")
            else:
                self.to_category()
                if pen.rng.random() < 0.6:
                    self.follow_link("product", self.product)
            if pen.rng.random() < 0.5:
                pen.write_scroll()
            pen.let_think()
        self.category, self.category_title, self.product, self.product_title, self.place = kept

    def reach_deed(self, act: Act, fill: bool = True) -> None:
        """Go to the page of a deed, on the way that the shop gives."""
        goal = self.route_of(act.page)
        if act.page == "category" or (act.page == "product" and self.pen.route != goal):
            self.to_category()
        if goal != self.category and goal not in ("/accounts/login/", "/catalogue/"):
            self.to_product()
        self.to_goal(act, goal)
        if fill:
            self.prepare_deed(act)

    def to_product(self) -> None:
        """Open the product of the session."""
        if self.pen.route != self.product or self.on_error:
            self.to_category()
            self.follow_link("product", self.product)
            self.pen.let_think()

    def to_category(self) -> None:
        """Open the category of the session: by the side list, the trail of a product or the front page."""
        listed = ("/catalogue/", "/search/")
        if self.pen.route == self.category and not self.on_error:
            return
        if self.pen.route == self.product and not self.on_error:
            self.follow_link("trail", self.category)
        else:
            if self.pen.route not in listed and not self.pen.route.startswith("/catalogue/category/"):
                self.follow_link("home", "/catalogue/")
                self.pen.let_think(0.6)
            self.follow_link("category", self.category)
        self.pen.let_think()

    def to_goal(self, act: Act, goal: str) -> None:
        """Go on from the product to the page of the deed."""
        if act.page == "review":
            self.follow_link("review-link", goal)
        elif goal == "/accounts/login/":
            self.follow_link("login-link", goal)
        elif goal == "/basket/":
            self.do_well("add")
            self.follow_link("view-basket", goal)
        elif goal.startswith("/checkout/"):
            self.do_well("add")
            self.follow_link("checkout-now", "/checkout/")
            self.pen.let_think()
            for key in ("gateway", "shipping"):
                if act.key in ("gateway", key):
                    break
                self.prepare_deed(self.find_act(key))
                self.do_well(key)
            if act.key == "place":
                self.follow_link("payment", "/checkout/preview/")
        self.pen.let_think()

    def find_act(self, key: str) -> Act:
        """Return a deed by its key."""
        return next(act for act in ACTS if act.key == key)

    def do_well(self, key: str) -> None:
        """Do a deed that works."""
        self.attempt_deed(self.find_act(key), Outcome("ok"))
        self.pen.let_think()

    def prepare_deed(self, act: Act) -> None:
        """Fill the fields of a deed."""
        for name in act.fields:
            if name == "guest":
                self.pen.write_click(self.find_control_here("guest"))
                self.pen.write_note("change", self.find_control_here("guest"))
                self.pen.let_pass(0.5, 2)
            else:
                self.pen.fill_field(self.find_control_here(name))

    def path_of(self, act: Act) -> str:
        """Return the path that a deed asks for."""
        return act.path.format(n=self.product_number, page=self.route_of(act.page), product=self.product)

    def attempt_deed(self, act: Act, outcome: Outcome, clicks: int = 1) -> None:
        """Do a deed once, by one click or a burst; the clock stands at what came of it."""
        pen, control = self.pen, self.find_control_here(act.control)
        bad = outcome.kind not in ("ok", "slow") or outcome.status >= 400
        start, origin = pen.now, pen.route
        spent = outcome.spent or (pen.fault_time() if bad else pen.draw_spent("oscar", act.method, self.path_of(act)))
        pen.write_click(control, bad, usual=act.method == "GET" and not act.form)
        if outcome.kind == "crash":
            pen.now += pen.rng.uniform(2, 400)
            pen.write_note("crash", control, True, message=self.message)
        elif act.form and outcome.kind != "blocked":
            pen.now += pen.rng.uniform(5, 40)
            pen.write_note("submit", self.find_control_here(act.form), bad)
        answered = float("inf")
        if outcome.kind not in ("crash", "hang", "blocked"):
            pen.now = start + pen.rng.uniform(15, 120)
            self.show_answer(act, outcome, spent, bad)
            answered = pen.now
        last = self.click_on(act, outcome, clicks, (start, answered, origin), bad)
        pen.now = max(pen.now, last + 150)

    def click_on(self, act: Act, outcome: Outcome, clicks: int, span: tuple[float, float, str], bad: bool) -> float:
        """Write the further clicks of a burst: on the waiting button, or on the page that came meanwhile."""
        pen, control = self.pen, self.find_control_here(act.control)
        shown = Control(control.key, control.chain, act.label_busy or control.label, control.href)
        at, answered, origin = span
        for _ in range(clicks - 1):
            at += pen.burst_gap()
            if at >= answered:
                if outcome.kind == "error":
                    pen.moments.append(Moment(at, "click", pen.route, self.find_control_here("body"), bad))
                break
            facts = {"disabled": bool(act.label_busy) and outcome.kind != "blocked", "waiting": True}
            pen.moments.append(Moment(at, "click", origin, shown, bad, facts))
            if act.form and not act.label_busy and outcome.kind not in ("crash", "blocked"):
                pen.moments.append(Moment(at + 12, "submit", origin, self.find_control_here(act.form), bad))
            if outcome.kind == "crash" and not act.label_busy:
                crash = {"message": self.message}
                pen.moments.append(Moment(at + 9, "crash", origin, control, True, crash))
        return at

    def show_answer(self, act: Act, outcome: Outcome, spent: float, bad: bool) -> None:
        """Show the page that the server answers with."""
        path = self.path_of(act)
        if outcome.kind == "error" or outcome.status >= 400:
            self.load_page(path, spent, True, status=outcome.status, usual=act.method == "GET")
        elif outcome.kind == "refused":
            self.load_page(self.route_of(act.page), spent, True)
        else:
            goal = self.route_of(act.done)
            extra = self.pen.draw_spent("oscar", "GET", goal) if act.method == "POST" else 0.0
            self.load_page(goal, spent + extra, bad)

    def get_back(self, act: Act, again: bool = True) -> None:
        """Return from a failure to the page of the deed; a form that the browser kept needs no filling."""
        pen = self.pen
        pen.let_pass(0.8, 3.5)
        if self.on_error:
            self.load_page(self.route_of(act.page), how="back")
            pen.let_pass(0.6, 2.5)
        if again and act.fields and pen.rng.random() < 0.5:
            pen.fill_field(self.find_control_here(act.fields[-1] if act.fields[-1] != "guest" else act.fields[0]))

    def restart_deed(self, act: Act) -> None:
        """Reload the page of the deed and prepare it again."""
        self.load_page(self.route_of(act.page), how="reload")
        self.pen.let_pass(1, 4)
        if act.fields and self.pen.rng.random() < 0.6:
            self.prepare_deed(act)

    def leave_app(self, seen: bool = False) -> None:
        """Leave: to the front page and away, or at once."""
        if seen or self.pen.rng.random() < 0.5:
            self.follow_link("home", "/catalogue/")
            self.pen.let_pass(1, 6)
        self.pen.shut = True
