"""What people set of the engine: what is refused, with which words, and what of it is used where it is stored."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.engine_settings import (
    EngineSettings,
    build_engine_config,
    parse_engine_settings,
    read_engine_settings,
    select_fitting_values,
)
from core.errors import PermanentError
from core.project_settings import SETTINGS, find_setting_problem, select_usable_settings
from core.time_window import parse_window
from incidents.model import ProjectRecord
from tasks.thresholds import engine_configs
from ufse import DEFAULT, Config
from ufse.config import RELATIONS, THRESHOLDS
from ufse.declared import declared_thresholds
from ufse.weights import Weights

TOML = """
ignored_routes = ["/admin/*"]

[thresholds]
rage_clicks = 5
slow_ms = 4_000

[weights]
failure = 35

[projects."shop"]
ignored_routes = []
ignored_targets = ["button#chaos*"]

[projects."shop".thresholds]
rage_clicks = 6
"""


def with_value(name: str, value: Any) -> Config:
    if name in declared_thresholds():
        return replace(DEFAULT, declared_thresholds=((name, value),))
    return replace(DEFAULT, **{name: value})


def test_every_number_of_the_engine_is_a_threshold_with_limits_and_a_meaning() -> None:
    others = {"ignored_routes", "ignored_targets", "weights", "visits_open", "exemptions"}
    others |= {"declared_thresholds", "declared_weights"}
    assert {one.name for one in fields(Config)} - others == set(THRESHOLDS) - set(declared_thresholds())
    assert all(one.low <= one.default <= one.high and one.meaning for one in THRESHOLDS.values())
    assert all(
        one.low >= 1 for name, one in THRESHOLDS.items() if name.endswith("window_ms") and name != "chain_window_ms"
    )


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_threshold_ends_at_its_limits(name: str) -> None:
    low, high = THRESHOLDS[name].low, THRESHOLDS[name].high
    for beyond in (low - 1, high + 1, float(low), str(low), True, None):
        with pytest.raises(ValueError, match=f"{name} must be a whole number from {low} to {high}, not "):
            with_value(name, beyond)


@pytest.mark.parametrize(("less", "more"), RELATIONS)
def test_thresholds_that_contradict_each_other_are_refused(less: str, more: str) -> None:
    limit = getattr(DEFAULT, more)
    with pytest.raises(ValueError, match=rf"{less} \({limit:,}\) must be less than {more} \({limit:,}\)"):
        with_value(less, limit)
    assert with_value(more, getattr(DEFAULT, less) + 1)
    if more != "high_score" and limit > THRESHOLDS[less].low + 1:
        assert with_value(less, limit - 1)


def test_the_other_fields_have_their_types() -> None:
    with pytest.raises(ValueError, match="ignored_routes must be a tuple of patterns"):
        Config(ignored_routes=["/a"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ignored_targets must be a tuple of patterns"):
        Config(ignored_targets=("",))
    with pytest.raises(ValueError, match="weights must be Weights"):
        Config(weights={"failure": 1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"rage_clicks .*; rage_gap_ms "):
        Config(rage_clicks=0, rage_gap_ms=0)


def test_the_digest_is_the_version_of_every_value() -> None:
    changed = [with_value(name, one.default + 1) for name, one in THRESHOLDS.items() if name != "oscillation_paths"]
    changed += [replace(DEFAULT, weights=Weights(failure=31)), Config(ignored_routes=("/a",)), DEFAULT]
    assert len({one.digest for one in changed}) == len(changed)
    assert Config().digest == DEFAULT.digest


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text(TOML)
    settings, told = read_engine_settings(file)
    assert parse_engine_settings(json.loads(json.dumps(told)), "as a parameter of the run") == settings
    found = settings.apply_to_configs({})
    assert found == {
        "": Config(rage_clicks=5, slow_ms=4_000, ignored_routes=("/admin/*",), weights=Weights(failure=35)),
        "shop": Config(rage_clicks=6, slow_ms=4_000, ignored_targets=("button#chaos*",), weights=Weights(failure=35)),
    }


def test_what_a_file_does_not_name_stays_as_a_project_has_it() -> None:
    present = {"": DEFAULT, "blog": Config(rage_clicks=7, high_score=90, ignored_routes=("/old",))}
    settings = parse_engine_settings(
        {"thresholds": {"rage_clicks": 5}, "projects": {"shop": {"weights": {"slow": 1}}}}, "x"
    )
    assert settings.apply_to_configs(present) == {
        "": Config(rage_clicks=5),
        "blog": Config(rage_clicks=5, high_score=90, ignored_routes=("/old",)),
        "shop": Config(rage_clicks=5, weights=Weights(slow=1)),
    }
    assert EngineSettings().apply_to_configs(present) == present


def test_what_contradicts_a_project_is_refused_with_its_name() -> None:
    settings = parse_engine_settings({"thresholds": {"medium_score": 70}}, "x")
    with pytest.raises(
        PermanentError,
        match=r"with the present settings of project 'blog': medium_score \(70\) must be less than high_score \(60\)",
    ):
        settings.apply_to_configs({"blog": Config(high_score=60)})


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"threshold": {}}, "there is no section 'threshold'; there is thresholds"),
        ({"thresholds": {"rageClicks": 5}}, "there is no threshold 'rageClicks'; there is rage_clicks"),
        ({"thresholds": {"x" * 99: 5}}, "there is no threshold 'xxx"),
        ({"thresholds": {"zzz": 5}}, "'zzz'; docs/configuration.md lists them"),
        ({"weights": {"failures": 5}}, "there is no weight 'failures'; there is failure"),
        ({"thresholds": {"rage_clicks": "5"}}, "thresholds.rage_clicks must be a whole number from 2 to 1000000, not '5'"),
        ({"thresholds": {"rage_clicks": 5.0}}, "thresholds.rage_clicks must be a whole number"),
        ({"thresholds": {"rage_clicks": True}}, "thresholds.rage_clicks must be a whole number"),
        ({"thresholds": {"retry_window_ms": 0}}, "retry_window_ms must be a whole number from 1 to 86400000, not 0"),
        ({"thresholds": {"retry_window_ms": -1}}, "retry_window_ms must be a whole number from 1"),
        ({"thresholds": {"slow_ms": 2_999}}, "thresholds.slow_ms must be 3000 or more: the event store"),
        ({"thresholds": {"medium_score": 85}}, "medium_score (85) must be less than high_score (80)"),
        ({"thresholds": 5}, "thresholds must hold names with whole numbers"),
        ({"thresholds": [["rage_clicks", 5]]}, "thresholds must hold names with whole numbers"),
        ({"weights": {"failure": 101}}, "weights.failure must be a whole number from 0 to 100, not 101"),
        ({"weights": {"failure": -1}}, "weights.failure must be a whole number from 0 to 100, not -1"),
        ({"weights": {"resolved": 1}}, "weights.resolved must be a whole number from -100 to 0, not 1"),
        ({"ignored_routes": "/admin/*"}, "ignored_routes must be a list of up to 1000 shell-style patterns"),
        ({"ignored_targets": [""]}, "ignored_targets must be a list"),
        ({"projects": []}, "projects must hold a table for each project"),
        ({"projects": {"shop": 5}}, "projects.shop must be a table of sections"),
        ({"projects": {"a b": {}}}, "'a b' is not a project id"),
        ({"projects": {"shop": {"projects": {}}}}, "projects.shop.there is no section 'projects'"),
        ({"projects": {"shop": {"weights": {"slow": "a"}}}}, "projects.shop.weights.slow must be a whole number"),
        ({"projects": {"shop": {"ignored_routes": [1]}}}, "projects.shop.ignored_routes must be a list"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_said(told: dict[str, Any], words: str) -> None:
    with pytest.raises(PermanentError) as error:
        parse_engine_settings(told, "new.toml")
    assert str(error.value).startswith("new.toml: ")
    assert words in str(error.value)


def test_every_reason_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text("[thresholds]\nrage_clicks = 1\nrage_gap = 2\n[weights]\nfailure = 'much'\n")
    with pytest.raises(PermanentError) as error:
        read_engine_settings(file)
    assert str(error.value).count(";") >= 3
    for word in ("rage_clicks", "rage_gap_ms", "failure"):
        assert word in str(error.value)


def test_what_is_no_toml_is_said(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    for content in (b"[thresholds\n", b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(PermanentError, match=r"new\.toml is not valid TOML"):
            read_engine_settings(file)


def test_a_projects_settings_hold_thresholds_and_weights() -> None:
    settings = {"thresholds": {"rage_clicks": 5}, "weights": {"failure": 35}, "ignoredRoutes": ["/admin/*"]}
    assert [find_setting_problem(name, value) for name, value in settings.items()] == ["", "", ""]
    assert select_usable_settings(settings) == (settings, [])
    expected = Config(rage_clicks=5, weights=Weights(failure=35), ignored_routes=("/admin/*",))
    assert build_engine_config(settings) == expected
    found = engine_configs({"shop": settings, "blog": {"confirmSessions": 5}, "none": {"thresholds": {}}})
    assert found == {"": DEFAULT, "shop": expected, "none": DEFAULT}


def test_what_does_not_fit_is_refused_and_where_it_is_stored_the_rest_is_used() -> None:
    bad = {"thresholds": {"rage_clicks": 5, "rage_gap_ms": 0, "gone": 1}, "weights": {"failure": "x", "slow": 1}}
    assert "thresholds.rage_gap_ms must be" in find_setting_problem("thresholds", bad["thresholds"])
    assert "there is no threshold 'gone'" in find_setting_problem("thresholds", bad["thresholds"])
    kept = {"thresholds": {"rage_clicks": 5}, "weights": {"slow": 1}}
    assert select_usable_settings(bad) == (kept, ["thresholds.rage_gap_ms", "thresholds.gone", "weights.failure"])
    assert build_engine_config(kept) == Config(rage_clicks=5, weights=Weights(slow=1))
    assert select_usable_settings({"thresholds": "none"}) == ({}, ["thresholds"])
    assert select_fitting_values("thresholds", {"medium_score": 85}) == ({}, ["thresholds.medium_score"])
    both = {"medium_score": 85, "high_score": 90}
    assert select_fitting_values("thresholds", both) == (both, [])


@pytest.mark.parametrize("stored", [{"thresholds": None}, {"weights": [1]}, {"thresholds": {"": {}}}])
def test_whatever_is_stored_the_engine_has_a_configuration(stored: dict[str, Any]) -> None:
    fits, bad = select_usable_settings(stored)
    assert bad
    assert engine_configs({"shop": fits}).get("shop", DEFAULT) == DEFAULT
    assert set(SETTINGS) >= set(stored)
    assert ProjectRecord("shop").settings == {}


NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("7d", NOW - timedelta(days=7), NOW),
        ("24h", NOW - timedelta(hours=24), NOW),
        ("90m", NOW - timedelta(minutes=90), NOW),
        (" 2w ", NOW - timedelta(weeks=2), NOW),
        ("2026-01-01..2026-01-08", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC)),
        ("2026-01-01..", datetime(2026, 1, 1, tzinfo=UTC), NOW),
        ("2026-01-09T11:00Z..2026-01-10T13:00+01:00", NOW - timedelta(hours=25), NOW),
    ],
)  # fmt: skip
def test_windows(text: str, start: datetime, end: datetime) -> None:
    assert parse_window(text, NOW) == (start, end)


@pytest.mark.parametrize(
    "text", ["", "7", "d", "7y", "yesterday", "..2026-01-01", "2026-01-01", "2026-13-01..2026-14-01", "-7d"]
)
def test_what_is_no_window_is_said(text: str) -> None:
    with pytest.raises(PermanentError, match="a window looks like 7d, 24h or"):
        parse_window(text, NOW)


@pytest.mark.parametrize("text", ["0d", "2026-01-02..2026-01-02", "2026-01-02..2026-01-01", "2030-01-01.."])
def test_a_window_that_holds_nothing_is_said(text: str) -> None:
    with pytest.raises(PermanentError, match="is empty"):
        parse_window(text, NOW)
