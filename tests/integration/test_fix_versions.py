"""An incident that was fixed in a version: old clients keep silent, and only sessions with the fix make it come back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from core.errors import PermanentError
from incidents.fixes import Fix, FixError
from incidents.lifecycle import IllegalTransition
from incidents.releases import NewRelease
from stores.incidents import releases
from stores.incidents.incident_store import IncidentStore, NotFound, RecordResult, SessionOrigin
from stores.incidents.releases import SeenVersions, VersionKey, VersionSight
from tests.integration.incident_store_cases import MONDAY, detection, digest, history, incident, incident_id, record

DAY = timedelta(days=1)


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


def show(
    store: IncidentStore,
    names: str,
    version: str,
    at: datetime,
    environment: str = "production",
    origins: dict[str, SessionOrigin] | None = None,
) -> RecordResult:
    """The sessions of ``names`` (one letter each) show the incident with this version."""
    context = {"userHash": "", "environment": environment, "appVersion": version, "label": "Pay now"}
    end = f"{digest(version, environment)}-{at:%d%H}"
    found = [
        detection(f"{name}-{end}", at=at + timedelta(minutes=number), context=context)
        for number, name in enumerate(names)
    ]
    return record(store, *found, origins={f"{name}-{end}": origin for name, origin in (origins or {}).items()})


def resolve(store: IncidentStore, fix: Fix, at: datetime) -> None:
    store.ledger.apply_action(incident_id(), "resolve", "merged", "eve", at=at, fix=fix)


def test_two_weeks_of_a_bug(store: IncidentStore) -> None:
    # A bug in 2.4.0, its fix in 2.5.
    assert show(store, "abc", "2.4.0", MONDAY).confirmed == (incident_id(),)
    resolve(store, Fix("2.5"), MONDAY + 2 * DAY)
    found = incident(store)
    assert (found["status"], found["fixVersion"], found["fixEnvironment"]) == ("resolved", "2.5", None)
    assert history(store, incident_id())[-1] == ("confirmed", "resolved", "fixed in 2.5: merged")
    # Old clients, and a hotfix of the old branch, which was released after the fix.
    for day, version in ((3, "2.4.0"), (4, "v2.3.9"), (5, "2.4.1"), (6, "2.4.1"), (7, "2.5.0-rc.1"), (8, "")):
        assert show(store, "abcdef", version, MONDAY + day * DAY).regressed == ()
    found = incident(store)
    assert (found["status"], found["affectedSessions"]) == ("resolved", 39)
    # Of 2.6, one source alone is not enough.
    alone = dict.fromkeys("abc", SessionOrigin((1 << 62) + 7, (1 << 62) + 8))
    assert show(store, "abc", "2.6", MONDAY + 9 * DAY, origins=alone).regressed == ()
    assert show(store, "d", "2.6", MONDAY + 10 * DAY).regressed == (incident_id(),)
    assert history(store, incident_id())[-1] == (
        "resolved",
        "regressed",
        "came back in 2.6: 4 sessions of 2 sources since 2024-01-17 10:00 UTC, fixed in 2.5; "
        "3 sessions within 7 days (the rule asks for 3)",
    )
    # Archived stays archived, whatever version shows it.
    store.ledger.apply_action(incident_id(), "suppress", "the page is gone", "eve")
    assert show(store, "abcdef", "3.0", MONDAY + 12 * DAY).regressed == ()
    assert incident(store)["status"] == "suppressed"


def test_a_fix_of_one_environment_is_shown_not_to_hold_there_alone(store: IncidentStore) -> None:
    show(store, "abc", "2.4.0", MONDAY)
    resolve(store, Fix("2.5.0", "staging"), MONDAY + DAY)
    assert show(store, "abc", "2.5.0", MONDAY + 2 * DAY, "production").regressed == ()
    assert show(store, "abc", "2.5.0", MONDAY + 3 * DAY, "").regressed == ()
    assert show(store, "abc", "2.5.0+7", MONDAY + 4 * DAY, "staging").regressed == (incident_id(),)
    assert "came back in 2.5.0+7: " in history(store, incident_id())[-1][2]
    assert "fixed in 2.5.0 (staging);" in history(store, incident_id())[-1][2]


def test_builds_without_numbers_are_ordered_by_the_time_at_which_they_were_first_seen(store: IncidentStore) -> None:
    show(store, "abc", "deadbee", MONDAY)
    resolve(store, Fix("c0ffee1"), MONDAY + DAY)
    # Nobody has seen the fix yet: the order is unknown.
    assert show(store, "abc", "facade2", MONDAY + 2 * DAY).regressed == ()
    assert show(store, "a", "c0ffee1", MONDAY + 3 * DAY).regressed == ()
    assert show(store, "def", "facade2", MONDAY + 4 * DAY).regressed == ()
    assert show(store, "def", "deadbee", MONDAY + 4 * DAY).regressed == ()
    # In another environment nobody has seen the fix.
    assert show(store, "ghi", "badcab3", MONDAY + 5 * DAY, "staging").regressed == ()
    assert show(store, "ab", "badcab3", MONDAY + 5 * DAY).regressed == (incident_id(),)
    assert "came back in badcab3, c0ffee1: 3 sessions of 3 sources" in history(store, incident_id())[-1][2]


def test_without_a_version_of_the_fix_any_session_shows_it_again(store: IncidentStore) -> None:
    show(store, "abc", "2.4.0", MONDAY)
    store.ledger.apply_action(incident_id(), "resolve", "deployed", "eve", at=MONDAY + DAY)
    assert show(store, "abc", "1.0", MONDAY + 2 * DAY).regressed == (incident_id(),)
    assert history(store, incident_id())[-1][2] == (
        "came back: 3 sessions within 7 days (the rule asks for 3), started after the fix of 2024-01-16 10:00 UTC"
    )


def test_the_version_of_a_fix_may_be_told_later_and_goes_with_the_fix(store: IncidentStore) -> None:
    show(store, "abc", "2.4.0", MONDAY)
    with pytest.raises(IllegalTransition):
        store.ledger.set_fix(incident_id(), Fix("2.5"), "Jira says so", "jira")
    store.ledger.apply_action(incident_id(), "resolve", "deployed", "eve", at=MONDAY + DAY)
    assert store.ledger.set_fix(incident_id(), Fix("2.5"), "Jira says so", "jira")
    assert not store.ledger.set_fix(incident_id(), Fix("2.5"), "Jira says so", "jira")
    with pytest.raises(NotFound):
        store.ledger.set_fix(incident_id(), Fix("2.6"), "", "jira", "other")
    assert history(store, incident_id())[-1] == ("resolved", "resolved", "fixed in 2.5: Jira says so")
    assert show(store, "abc", "2.4.0", MONDAY + 2 * DAY).regressed == ()
    store.ledger.apply_action(incident_id(), "reopen", "not fixed", "eve")
    assert incident(store)["fixVersion"] is None


def test_the_next_release_that_is_added_has_the_fix(store: IncidentStore) -> None:
    show(store, "abc", "2.4.0", MONDAY)
    resolve(store, Fix(next_release=True, environment="production"), MONDAY + DAY)
    # Whatever shows it again before, the fix is not out.
    assert show(store, "abcd", "2.4.0", MONDAY + 2 * DAY).regressed == ()
    assert show(store, "abcd", "2.4.2", MONDAY + 2 * DAY).regressed == ()
    for release in (
        NewRelease("shop", "2.4.3", "production", at=MONDAY),  # before the fix
        NewRelease("shop", "2.5.0", "staging", at=MONDAY + 3 * DAY),  # elsewhere
        NewRelease("shop", "2.3.9", "production", at=MONDAY + 3 * DAY),  # of an older line
        NewRelease("blog", "2.5.0", "production", at=MONDAY + 3 * DAY),
    ):
        assert store.releases.add_release(release, "ci") == []
    assert incident(store)["fixInNextRelease"]
    new = NewRelease("shop", "2.5.0", "production", "main", MONDAY + 4 * DAY)
    assert store.releases.add_release(new, "ci") == [incident_id()]
    assert store.releases.add_release(new, "ci") == []
    found = incident(store)
    assert (found["fixVersion"], found["fixEnvironment"], found["fixInNextRelease"]) == ("2.5.0", "production", False)
    assert history(store, incident_id())[-1] == (
        "resolved",
        "resolved",
        "fixed in 2.5.0 (production): the first release after it was resolved",
    )
    assert show(store, "abcd", "2.4.2", MONDAY + 5 * DAY).regressed == ()
    assert show(store, "abc", "2.5.0", MONDAY + 5 * DAY).regressed == (incident_id(),)


def test_a_release_of_another_branch_is_not_the_next_one(store: IncidentStore) -> None:
    show(store, "abc", "2.4.0", MONDAY)
    store.releases.add_release(NewRelease("shop", "2.4.0", branch="main", at=MONDAY), "ci")
    resolve(store, Fix(next_release=True), MONDAY + DAY)
    hotfix = NewRelease("shop", "2.4.1", branch="hotfix/2.4", at=MONDAY + 2 * DAY)
    assert store.releases.add_release(hotfix, "ci") == []
    assert store.releases.add_release(NewRelease("shop", "2.5.0", branch="main", at=MONDAY + 3 * DAY), "ci") == [
        incident_id()
    ]


def test_a_version_of_one_sender_alone_is_no_release(store: IncidentStore) -> None:
    show(store, "abc", "2.4.0", MONDAY)
    resolve(store, Fix(next_release=True), MONDAY + DAY)
    forged, real = (VersionKey("shop", "production", version) for version in ("999.0", "2.5.0"))
    one, other = (1 << 62) + 1, (1 << 62) + 3
    with store._database.open_transaction() as connection:
        seen = SeenVersions(connection)
        known = seen.see_versions([VersionSight(*key, MONDAY + 2 * DAY) for key in (forged, real)])
        assert known == {forged: [], real: []}
        # The sender of the day before has another hash today, and is the same.
        assert seen.note_sources(known, {forged: [[one, one + 1], [one + 1, one]], real: [[one]]}) == []
        known = seen.see_versions([VersionSight(*forged, MONDAY + 3 * DAY), VersionSight(*real, MONDAY + 3 * DAY)])
        assert known == {forged: [one], real: [one]}
        assert seen.note_sources(known, {real: [[other]]}) == [incident_id()]
        assert seen.see_versions([VersionSight(*real, MONDAY + 3 * DAY)]) == {}
    assert incident(store)["fixVersion"] == "2.5.0"
    hashes = [release["version"] for release in store.releases.list_releases("shop", "production")]
    assert hashes == ["2.5.0", "999.0", "2.4.0"]


def test_names_that_no_release_can_have_are_not_noted_and_stop_nothing(store: IncidentStore) -> None:
    show(store, "abc", "2.4.0", MONDAY)
    resolve(store, Fix(next_release=True), MONDAY + DAY)
    for odd in ("2.6\n", " 2.6", "2\x1f6"):
        show(store, "abcd", odd, MONDAY + 2 * DAY, "production")
        show(store, "abcd", "2.4.0", MONDAY + 2 * DAY, odd)
    with store._database.open_transaction() as connection:
        # As a migration took it from a detection.
        insert = "INSERT INTO releases (project, version, first_seen, spread) VALUES ('shop', E'2.6\\n', now(), true)"
        connection.execute(text(insert))
    assert store.releases.add_release(NewRelease("shop", "2.7", at=datetime.now(UTC) + DAY), "ci") == [incident_id()]
    assert [release["version"] for release in store.releases.list_releases("shop", "production")] == ["2.4.0"]


def test_versions_that_nobody_added_are_bounded_and_those_of_one_sender_go_first(
    store: IncidentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "MOST_SEEN", 3)
    store.releases.add_release(NewRelease("shop", "1.0", at=MONDAY), "ci")
    with store._database.open_transaction() as connection:
        seen = SeenVersions(connection)
        known = seen.see_versions([VersionSight("shop", "", "1.1", MONDAY)])
        seen.note_sources(known, {key: [[1 << 62], [(1 << 62) + 1]] for key in known})
    for number in range(10):
        with store._database.open_transaction() as connection:
            SeenVersions(connection).see_versions([VersionSight("shop", "", f"evil{number}", MONDAY + number * DAY)])
    assert [release["version"] for release in store.releases.list_releases("shop")] == ["evil9", "evil8", "1.0", "1.1"]


def test_a_hash_that_was_seen_early_counts_from_then_on(store: IncidentStore) -> None:
    store.releases.add_release(NewRelease("shop", "abcdefa", at=MONDAY + 5 * DAY), "ci")
    show(store, "abc", "abcdefa", MONDAY)
    show(store, "a", "abcdefa", MONDAY - DAY)
    (seen,) = store.releases.list_releases("shop", "production")
    assert (seen["firstSeen"], seen["releasedAt"], seen["addedBy"]) == ("2024-01-14T10:00:00.000Z", None, None)
    (added,) = store.releases.list_releases("shop", "")
    assert (added["firstSeen"], added["releasedAt"]) == (None, "2024-01-20T10:00:00.000Z")


@pytest.mark.parametrize("broken", [{"version": "2\x00"}, {"version": " "}, {"version": "v" * 201}, {"branch": "a\nb"}])
def test_names_that_cannot_be_such_are_refused(store: IncidentStore, broken: dict[str, str]) -> None:
    with pytest.raises(PermanentError):
        store.releases.add_release(NewRelease(**{"project": "shop", "version": "1", **broken}), "ci")
    for fix in ({"version": "1", "next_release": True}, {"environment": "production"}, {"version": "1\x002"}):
        with pytest.raises(FixError):
            Fix(**fix)  # type: ignore[arg-type]


@pytest.mark.parametrize("environment", ["", "production"])
@pytest.mark.parametrize(("fix", "shown"), [("2.4.1", "2.5.0"), ("v2.4.1", "2.5.0"), ("2.4.1", "shop@2.5.0")])
def test_a_branch_is_known_however_the_version_is_written_and_wherever_it_was_told(
    store: IncidentStore, environment: str, fix: str, shown: str
) -> None:
    """2.5.0 of the main branch came out before the hotfix, so it need not have it."""
    show(store, "abc", "2.4.0", MONDAY)
    store.releases.add_release(NewRelease("shop", "2.5.0", environment, "main", MONDAY + DAY), "ci")
    store.releases.add_release(NewRelease("shop", "2.4.1", environment, "hotfix/2.4", MONDAY + 2 * DAY), "ci")
    resolve(store, Fix(fix), MONDAY + 2 * DAY)
    assert show(store, "abcd", shown, MONDAY + 3 * DAY).regressed == ()
    store.releases.add_release(NewRelease("shop", "2.6.0", environment, "main", MONDAY + 4 * DAY), "ci")
    assert show(store, "abc", "2.6.0", MONDAY + 5 * DAY).regressed == (incident_id(),)


@pytest.mark.parametrize("environment", ["", "production"])
def test_the_time_of_a_release_counts_before_that_of_its_first_session(store: IncidentStore, environment: str) -> None:
    show(store, "abc", "ab12cd3", MONDAY)
    for number, version in enumerate(("deadbee", "c0ffee1")):
        at = MONDAY + timedelta(hours=number + 1)
        store.releases.add_release(NewRelease("shop", version, environment, at=at), "ci")
    resolve(store, Fix("c0ffee1"), MONDAY + DAY)
    # The older one is first seen after the fix.
    assert show(store, "d", "c0ffee1", MONDAY + 2 * DAY).regressed == ()
    assert show(store, "efgh", "deadbee", MONDAY + 3 * DAY).regressed == ()
    assert show(store, "ef", "c0ffee1", MONDAY + 4 * DAY).regressed == (incident_id(),)
