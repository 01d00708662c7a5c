"""Scenes in which the person gets what they wanted, or in which nothing of theirs failed."""

from __future__ import annotations

from tests.grown.scenes_bad import HOUR_QUARTER, is_form, is_post
from tests.grown.shop import Shop
from tests.grown.stage import App, Play, Scene, begin_visit, go_elsewhere, say_calm, steady_fault
from tests.grown.world import OK, Act, Outcome, Truth


def finish_well(app: App, act: Act) -> None:
    """Do the deed, go on a little and leave."""
    app.attempt_deed(act, OK)
    app.pen.let_think()
    app.look_around(app.pen.rng.randint(1, 2))
    app.leave_app()


def calm_deed(app: App, act: Act) -> Truth:
    """Do a deed without any trouble."""
    begin_visit(app, act)
    finish_well(app, act)
    return say_calm("calm")


def just_browse(app: App, act: Act) -> Truth:
    """Look around only."""
    app.enter_app()
    app.look_around(app.pen.rng.randint(2, 8))
    app.leave_app()
    return say_calm("browse")


def retry_works(app: App, act: Act) -> Truth:
    """Fail once, try again, succeed."""
    begin_visit(app, act)
    app.attempt_deed(act, steady_fault(app.pen.rng)())
    app.get_back(act)
    finish_well(app, act)
    return say_calm("retry_works", True)


def tries_then_works(app: App, act: Act) -> Truth:
    """Fail two to four times, some of them in a rage, and succeed in the end."""
    begin_visit(app, act)
    rng = app.pen.rng
    fault = steady_fault(rng)
    for _ in range(rng.randint(2, 4)):
        app.attempt_deed(act, fault(), rng.choice((1, 1, 4, 6)))
        app.get_back(act)
    if rng.random() < 0.3:
        app.restart_deed(act)
    finish_well(app, act)
    return say_calm("tries_then_works", True)


def crash_then_works(app: App, act: Act) -> Truth:
    """Click on a control that crashes, reload, and succeed."""
    begin_visit(app, act)
    rng = app.pen.rng
    app.attempt_deed(act, Outcome("crash"), rng.choice((1, 2, 5)))
    app.pen.let_pass(2, 6)
    app.restart_deed(act)
    finish_well(app, act)
    return say_calm("crash_then_works", True)


def other_way_works(app: App, act: Act) -> Truth:
    """Fail on one way and succeed on another."""
    begin_visit(app, act)
    rng = app.pen.rng
    for _ in range(rng.randint(1, 3)):
        app.attempt_deed(act, steady_fault(rng)(), rng.choice((1, 1, 4)))
        app.get_back(act)
    other = app.find_act(act.other)
    app.reach_deed(other)
    finish_well(app, other)
    return say_calm("other_way_works", True)


def later_visit_works(app: App, act: Act) -> Truth:
    """Fail, come back after a quarter of an hour or more, and succeed."""
    begin_visit(app, act)
    rng = app.pen.rng
    for _ in range(rng.randint(1, 3)):
        app.attempt_deed(act, steady_fault(rng)(), rng.choice((1, 1, 5)))
        app.get_back(act)
    app.pen.let_pass(*HOUR_QUARTER)
    app.enter_app()
    app.reach_deed(act)
    finish_well(app, act)
    return say_calm("later_visit_works", True)


def slow_served(app: App, act: Act) -> Truth:
    """Click impatiently on something slow, and be served."""
    begin_visit(app, act)
    rng = app.pen.rng
    app.attempt_deed(act, Outcome("slow", 0, rng.uniform(4_000, 14_000)), rng.randint(3, 8))
    app.pen.let_think()
    app.look_around(rng.randint(0, 2))
    app.leave_app()
    return say_calm("slow_served", True)


def late_answer(app: App, act: Act) -> Truth:
    """Wait in vain, reload, do it again slowly, and be served after all."""
    begin_visit(app, act)
    rng = app.pen.rng
    app.attempt_deed(act, Outcome("hang", 0, 30_000.0), rng.choice((1, 3, 5)))
    app.pen.let_pass(4, 12)
    app.restart_deed(act)
    app.attempt_deed(act, Outcome("slow", 0, rng.uniform(8_000, 20_000)), rng.choice((1, 1, 3)))
    app.pen.let_think()
    app.leave_app()
    return say_calm("late_answer", True)


def ignored_failure(app: App, act: Act) -> Truth:
    """Meet one failure of something small, shrug, and go on with other things."""
    begin_visit(app, act)
    app.attempt_deed(act, steady_fault(app.pen.rng)())
    app.get_back(act, False)
    go_elsewhere(app, act)
    app.leave_app()
    return say_calm("ignored_failure", True)


def ends_after_failure(app: App, act: Act) -> Truth:
    """Meet one failure of something small; the visit just ends there."""
    begin_visit(app, act, 1)
    app.attempt_deed(act, steady_fault(app.pen.rng)())
    app.pen.let_pass(1, 8)
    app.pen.shut = True
    return say_calm("ends_after_failure", True)


def mistake_corrected(app: App, act: Act) -> Truth:
    """Make one to three mistakes in a form, correct them, succeed."""
    begin_visit(app, act)
    for _ in range(app.pen.rng.randint(1, 3)):
        app.attempt_deed(
            act, Outcome("refused" if app.pen.rng.random() < 0.7 else "blocked"), app.pen.rng.choice((1, 1, 1, 2))
        )
        app.get_back(act)
        app.pen.let_think(0.5)
    finish_well(app, act)
    return say_calm("mistake_corrected", True)


def double_clicks(app: App, act: Act) -> Truth:
    """Double-click everything, as some people do."""
    begin_visit(app, act)
    finish_well(app, act)
    pen = app.pen
    extra = [m for m in pen.moments if m.kind == "click" and pen.rng.random() < 0.85]
    for moment in extra:
        gap = pen.rng.uniform(110, 240)
        copy = type(moment)(moment.at + gap, "click", moment.route, moment.control, False, {"waiting": True})
        pen.moments.append(copy)
    return say_calm("double_clicks", True)


def quick_pager(app: App, act: Act) -> Truth:
    """Leaf quickly through pages or skip tasks one after the other."""
    pen = app.pen
    pen.machine *= 0.3
    app.enter_app()
    for _ in range(pen.rng.randint(6, 14)):
        if isinstance(app, Shop):
            pen.write_click(app.find_control_here("pager"))
            pen.now += 10
            app.load_page("/catalogue/", pen.rng.uniform(150, 600))
            pen.let_pass(0.2, 0.9)
        else:
            app.to_page("data")
            app.attempt_deed(app.find_act("skip"), Outcome("ok", 0, pen.rng.uniform(80, 400)))
            pen.let_pass(0.2, 0.8)
    pen.let_think()
    app.leave_app()
    return say_calm("quick_pager", True)


def reload_habit(app: App, act: Act) -> Truth:
    """Reload pages out of habit, though nothing is wrong."""
    begin_visit(app, act)
    for _ in range(app.pen.rng.randint(2, 5)):
        app.load_page(app.pen.route, how="reload")
        app.pen.let_pass(2, 20)
    app.prepare_deed(act)
    finish_well(app, act)
    return say_calm("reload_habit", True)


def text_selected(app: App, act: Act) -> Truth:
    """Select text by two or three clicks on it, several times, to copy it."""
    app.enter_app()
    app.look_around(1)
    pen = app.pen
    for _ in range(pen.rng.randint(2, 4)):
        place = app.find_control_here("row" if app.name == "labelstudio" and pen.route.endswith("/data") else "body")
        for _ in range(pen.rng.randint(2, 3)):
            pen.write_click(place, selection=True)
            pen.now += pen.rng.uniform(90, 220)
        pen.let_think(0.6)
    app.look_around(pen.rng.randint(1, 3))
    app.leave_app()
    return say_calm("text_selected", True)


def with_noise(scenario: str) -> Play:
    """Return a play that only does a deed; the noise of that name is laid over it later."""

    def play_deed(app: App, act: Act) -> Truth:
        """Do a deed well, and look around some more."""
        begin_visit(app, act)
        finish_well(app, act)
        if app.pen.rng.random() < 0.6:
            app.pen.shut = False
            app.look_around(app.pen.rng.randint(1, 4))
            app.leave_app()
        return say_calm(scenario, True)

    return play_deed


background = with_noise("background_failures")
third_party = with_noise("third_party_failures")
hidden = with_noise("hidden_resumed")
many_tabs = with_noise("many_tabs")
sdk_twice = with_noise("sdk_twice")
open_tab = with_noise("long_open_tab")
offline = with_noise("offline_blip")


def is_small(act: Act) -> bool:
    """Tell whether a deed has nothing invested in it."""
    return not act.is_invested and not act.fields


GOOD = (
    Scene("calm", calm_deed, 13),
    Scene("browse", just_browse, 6),
    Scene("retry_works", retry_works, 5),
    Scene("tries_then_works", tries_then_works, 6),
    Scene("crash_then_works", crash_then_works, 3, is_post),
    Scene("other_way_works", other_way_works, 3, lambda act: bool(act.other)),
    Scene("later_visit_works", later_visit_works, 3, gap=True),
    Scene("slow_served", slow_served, 5, is_post),
    Scene("late_answer", late_answer, 3, is_post),
    Scene("ignored_failure", ignored_failure, 3.5, is_small),
    Scene("ends_after_failure", ends_after_failure, 3.5, is_small),
    Scene("mistake_corrected", mistake_corrected, 5, is_form),
    Scene("double_clicks", double_clicks, 3),
    Scene("quick_pager", quick_pager, 3),
    Scene("reload_habit", reload_habit, 3),
    Scene("text_selected", text_selected, 2),
    Scene("background_failures", background, 4),
    Scene("third_party_failures", third_party, 3.5),
    Scene("hidden_resumed", hidden, 2.5),
    Scene("many_tabs", many_tabs, 2.5),
    Scene("sdk_twice", sdk_twice, 2.5),
    Scene("long_open_tab", open_tab, 2.5),
    Scene("offline_blip", offline, 2),
)
