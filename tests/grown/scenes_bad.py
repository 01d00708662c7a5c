"""Scenes in which the person never gets what they wanted, and shows it."""

from __future__ import annotations

from tests.grown.shop import Shop
from tests.grown.stage import App, Scene, begin_visit, go_elsewhere, say_frustrated, steady_fault
from tests.grown.world import Act, Outcome, Truth

HOUR_QUARTER = (16 * 60, 28 * 60)


def rage_error(app: App, act: Act) -> Truth:
    """Fail, then hammer the control once or twice, then leave."""
    begin_visit(app, act)
    rng = app.pen.rng
    fault = steady_fault(rng)
    if rng.random() < 0.7:
        app.attempt_deed(act, fault())
        app.get_back(act, False)
    for _ in range(rng.randint(1, 2)):
        app.attempt_deed(act, fault(), rng.randint(4, 7))
        app.get_back(act, False)
    if rng.random() < 0.4:
        app.attempt_deed(act, fault(), rng.randint(1, 3))
        app.pen.let_pass(1, 4)
    app.leave_app()
    return say_frustrated(app, act, "rage_error")


def quiet_tries(app: App, act: Act) -> Truth:
    """Try quietly two to four times, then leave."""
    begin_visit(app, act)
    fault = steady_fault(app.pen.rng)
    for _ in range(app.pen.rng.choice((2, 3, 3, 4))):
        app.attempt_deed(act, fault())
        app.get_back(act)
    app.leave_app()
    return say_frustrated(app, act, "quiet_tries")


def refused_left(app: App, act: Act) -> Truth:
    """Fill a form that is refused again and again, then leave."""
    begin_visit(app, act)
    for turn in range(app.pen.rng.randint(3, 5)):
        blocked = turn == 0 and app.pen.rng.random() < 0.3
        app.attempt_deed(act, Outcome("blocked" if blocked else "refused"))
        app.get_back(act)
        app.pen.let_think(0.5)
    app.leave_app()
    return say_frustrated(app, act, "refused_left")


def crash_burst(app: App, act: Act) -> Truth:
    """Click on a control whose handler crashes, once and then in bursts, then leave."""
    begin_visit(app, act)
    rng = app.pen.rng
    app.attempt_deed(act, Outcome("crash"))
    for _ in range(rng.randint(1, 2)):
        app.pen.let_pass(1.5, 5)
        app.attempt_deed(act, Outcome("crash"), rng.randint(3, 6))
    app.pen.let_pass(1, 5)
    app.leave_app()
    return say_frustrated(app, act, "crash_burst")


def crash_quiet(app: App, act: Act) -> Truth:
    """Click on a control whose handler crashes, reload, click again, give up."""
    begin_visit(app, act)
    app.attempt_deed(act, Outcome("crash"))
    for _ in range(app.pen.rng.randint(1, 3)):
        app.pen.let_pass(2, 6)
        if app.pen.rng.random() < 0.6:
            app.restart_deed(act)
        app.attempt_deed(act, Outcome("crash"))
    app.pen.let_pass(2, 6)
    app.leave_app()
    return say_frustrated(app, act, "crash_quiet")


def never_answered(app: App, act: Act) -> Truth:
    """Wait for an answer that never comes, click, reload, try again, leave."""
    begin_visit(app, act)
    rng = app.pen.rng
    for turn in range(rng.randint(1, 3)):
        if turn:
            app.restart_deed(act)
        app.attempt_deed(act, Outcome("hang", 0, rng.choice((20_000.0, 30_000.0, 45_000.0))), rng.randint(4, 7))
        app.pen.let_pass(3, 15)
    app.leave_app()
    return say_frustrated(app, act, "never_answered")


def reload_loop(app: App, act: Act) -> Truth:
    """Meet a failure and reload, three to five times, then leave."""
    begin_visit(app, act)
    rng = app.pen.rng
    fault = steady_fault(rng)
    app.attempt_deed(act, fault())
    for _ in range(rng.randint(3, 5)):
        app.pen.let_pass(1, 5)
        if isinstance(app, Shop) and act.method == "GET":
            outcome = fault()
            spent = app.pen.fault_time()
            app.load_page(app.path_of(act), spent, True, how="reload", status=outcome.status, usual=True)
        else:
            app.restart_deed(act)
            app.attempt_deed(act, fault())
    app.pen.let_pass(1, 5)
    app.leave_app()
    return say_frustrated(app, act, "reload_loop")


def long_way(app: App, act: Act) -> Truth:
    """Fail on one way, try another way and fail there, too, then leave."""
    begin_visit(app, act)
    rng = app.pen.rng
    fault = steady_fault(rng)
    for _ in range(rng.randint(1, 2)):
        app.attempt_deed(act, fault())
        app.get_back(act)
    other = app.find_act(act.other)
    app.reach_deed(other)
    for _ in range(rng.randint(1, 2)):
        app.attempt_deed(other, fault())
        app.get_back(other)
    app.leave_app()
    return say_frustrated(app, act, "long_way", True)


def begun_left(app: App, act: Act) -> Truth:
    """Invest fields or steps, meet one failure, and leave the begun task at once."""
    begin_visit(app, act)
    app.attempt_deed(act, steady_fault(app.pen.rng)())
    app.pen.let_pass(2, 12)
    app.leave_app(seen=True)
    return say_frustrated(app, act, "begun_left", True)


def middle_failure(app: App, act: Act) -> Truth:
    """Fail in the middle of a long visit, give up on that deed and go on with others."""
    app.enter_app()
    app.look_around(app.pen.rng.randint(1, 3))
    if app.name == "labelstudio":
        app.do_well("filter")
    app.reach_deed(act)
    fault = steady_fault(app.pen.rng)
    truth = say_frustrated(app, act, "middle_failure", True)
    for _ in range(app.pen.rng.randint(2, 4)):
        app.attempt_deed(act, fault(), app.pen.rng.choice((1, 1, 4)))
        app.get_back(act)
    go_elsewhere(app, act)
    app.look_around(app.pen.rng.randint(1, 4))
    app.leave_app()
    return truth


def later_visit_fails(app: App, act: Act) -> Truth:
    """Fail, come back after a quarter of an hour or more, and fail again."""
    begin_visit(app, act)
    fault = steady_fault(app.pen.rng)
    for _ in range(app.pen.rng.randint(1, 3)):
        app.attempt_deed(act, fault())
        app.get_back(act)
    app.pen.let_pass(*HOUR_QUARTER)
    app.enter_app()
    app.reach_deed(act)
    for _ in range(app.pen.rng.randint(1, 2)):
        app.attempt_deed(act, fault())
        app.get_back(act)
    app.leave_app()
    return say_frustrated(app, act, "later_visit_fails", True)


def slow_then_error(app: App, act: Act) -> Truth:
    """Wait long, click impatiently, and get an error in the end, twice."""
    begin_visit(app, act)
    rng = app.pen.rng
    for _ in range(rng.randint(1, 2)):
        app.attempt_deed(act, Outcome("error", 504, rng.uniform(9_000, 25_000)), rng.randint(3, 7))
        app.get_back(act)
    app.attempt_deed(act, Outcome("error", rng.choice((502, 504)), rng.uniform(9_000, 25_000)))
    app.pen.let_pass(1, 5)
    app.leave_app()
    return say_frustrated(app, act, "slow_then_error")


def is_form(act: Act) -> bool:
    """Tell whether a deed is refusable."""
    return act.refusable


def is_post(act: Act) -> bool:
    """Tell whether a deed changes something."""
    return act.method != "GET" or act.key == "export"


def is_clear(act: Act) -> bool:
    """Tell whether a deed is one that no other way of the page answers unseen."""
    return act.key != "filter"


BAD = (
    Scene("rage_error", rage_error, 5, is_clear),
    Scene("quiet_tries", quiet_tries, 5, is_clear),
    Scene("refused_left", refused_left, 5, is_form),
    Scene("crash_burst", crash_burst, 4, is_post),
    Scene("crash_quiet", crash_quiet, 2.5, is_post),
    Scene("never_answered", never_answered, 3.5, is_post),
    Scene("reload_loop", reload_loop, 3, is_clear),
    Scene("long_way", long_way, 2, lambda act: bool(act.other)),
    Scene("begun_left", begun_left, 4, lambda act: act.is_invested),
    Scene("middle_failure", middle_failure, 4, is_clear),
    Scene("later_visit_fails", later_visit_fails, 2.5, is_clear, True),
    Scene("slow_then_error", slow_then_error, 2.5, is_post),
)
