"""Channels, quiet hours and the times of digests, by the clock on the wall."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr, ValidationError

from core.alert_settings import AlertRules, build_alert_rules, parse_channels
from core.settings import Settings

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_channels_have_names() -> None:
    found = parse_channels(SecretStr("ops=json://host/a?x=1\n  pay=slack://xoxb-1/pay"))
    assert {name: url.get_secret_value() for name, url in found.items()} == {
        "ops": "json://host/a?x=1",
        "pay": "slack://xoxb-1/pay",
    }
    assert parse_channels(None) == {}


@pytest.mark.parametrize(
    "text", ["json://secret-host/a", "ops=secret", "ops=json://secret ops=json://b", "a/b=json://secret"]
)
def test_an_entry_that_is_no_channel_is_named_by_its_number(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(alert_urls=SecretStr(text))
    assert "alert_urls" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alert_kinds", "confirmed,other"),
        ("alert_time_zone", "Mars/Olympus"),
        ("alert_quiet_hours", "22-7"),
        ("alert_quiet_hours", "24:00-07:00"),
        ("alert_digest", "hourly 09:00"),
    ],
)
def test_settings_that_do_not_fit(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        Settings(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        # Winter: Berlin is one hour ahead.
        ("2026-01-10T20:59:59", False),
        ("2026-01-10T21:00:00", True),
        ("2026-01-11T05:59:59", True),
        ("2026-01-11T06:00:00", False),
        # The night of 29 March has 23 hours: quiet ends at 07:00 of summer time.
        ("2026-03-28T21:00:00", True),
        ("2026-03-29T04:59:59", True),
        ("2026-03-29T05:00:00", False),
        # The night of 25 October has 25 hours.
        ("2026-10-24T20:00:00", True),
        ("2026-10-25T05:59:59", True),
        ("2026-10-25T06:00:00", False),
    ],
)
def test_quiet_hours_over_a_change_of_clocks(moment: str, quiet: bool) -> None:
    assert AlertRules(zone=BERLIN, quiet="22:00-07:00").is_quiet(at(moment)) is quiet


def test_the_hour_that_comes_twice_is_quiet_twice() -> None:
    rules = AlertRules(zone=BERLIN, quiet="02:00-03:00")
    moments = ("2026-10-24T23:59", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:00")
    assert [rules.is_quiet(at(moment)) for moment in moments] == [False, True, True, False]


def test_quiet_hours_within_a_day_and_none() -> None:
    assert AlertRules(quiet="12:00-13:00").is_quiet(at("2026-01-10T12:30"))
    assert not AlertRules(quiet="12:00-13:00").is_quiet(at("2026-01-10T13:00"))
    assert not AlertRules().is_quiet(at("2026-01-10T03:00"))


def test_a_daily_digest_is_due_at_the_same_clock_time_in_summer_and_winter() -> None:
    rules = AlertRules(zone=BERLIN, digest="daily 09:00")
    assert rules.find_due_digest(at("2026-03-28T08:00")) == ("2026-03-28", at("2026-03-27T08:00"))
    assert rules.find_due_digest(at("2026-03-29T07:00")) == ("2026-03-29", at("2026-03-28T08:00"))


def test_a_digest_that_is_long_overdue_is_left_out() -> None:
    rules = AlertRules(digest="daily 09:00")
    assert rules.find_due_digest(at("2026-01-10T20:59")) == ("2026-01-10", at("2026-01-09T09:00"))
    assert rules.find_due_digest(at("2026-01-10T21:00")) is None
    assert rules.find_due_digest(at("2026-01-11T08:59")) is None
    # A digest of the evening is still due after midnight.
    assert AlertRules(digest="daily 22:00").find_due_digest(at("2026-01-11T03:00")) == (
        "2026-01-10",
        at("2026-01-09T22:00"),
    )


def test_a_weekly_digest_is_of_seven_days() -> None:
    rules = AlertRules(digest="monday 09:00")
    assert rules.find_due_digest(at("2026-01-12T09:00")) == ("2026-01-12", at("2026-01-05T09:00"))
    assert rules.find_due_digest(at("2026-01-13T09:00")) is None
    assert AlertRules().find_due_digest(at("2026-01-12T09:00")) is None


def test_a_project_replaces_what_it_sets_and_owners_get_what_is_theirs() -> None:
    settings = Settings(alert_kinds="confirmed,regressed", alert_quiet_hours="22:00-07:00")
    rules = build_alert_rules(
        settings, {"alertKinds": ["share"], "alertChannels": ["ops"], "alertOwners": {"pay": ["pay", "gone"]}}
    )
    assert (rules.kinds, rules.quiet) == (("share",), "22:00-07:00")
    assert rules.choose_channels(["ops", "pay"]) == ["ops"]
    assert rules.choose_channels(["ops", "pay"], ["@pay"]) == ["pay"]
    assert rules.choose_channels(["ops", "pay"], ["others"]) == ["ops"]
    assert build_alert_rules(settings, {}).choose_channels(["ops", "pay"]) == ["ops", "pay"]
