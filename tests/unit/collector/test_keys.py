"""Keys come from the store, survive its absence and a restart, and lie on disk as hashes only."""

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from collector.access.keys import FixedKeys, Grant, KeyRing, KeySource, hash_key
from collector.access.projects import ProjectSettings
from core.errors import TransientError
from incidents.lifecycle import ConfirmRule


@dataclass
class Record:
    key_hash: str
    project: str
    role: str
    revoked: bool = False
    prefix: str = "abc"
    label: str = ""


@dataclass
class Project:
    id: str
    origins: list[str]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Store:
    """A store in memory that can be switched off; the real one is in tests/integration."""

    records: list[Record] = field(default_factory=list)
    known: list[Project] = field(default_factory=list)
    away: bool = False
    used: dict[str, datetime] = field(default_factory=dict)
    used_is_refused: bool = False

    def read_api_keys(self) -> list[Record]:
        if self.away:
            raise TransientError("away")
        return self.records

    def read_projects(self) -> list[Project]:
        return self.known

    def record_keys_used(self, used: Mapping[str, datetime]) -> None:
        if self.used_is_refused:
            raise TransientError("locked")
        self.used.update(used)


def ring(tmp_path: Path, store: Store | None, **options: bool) -> KeyRing:
    source: Callable[[], KeySource] | None = (lambda: store) if store else None
    return KeyRing(tmp_path / "keys.json", FixedKeys.from_configured_keys(["fixed"], ["root"]), source, **options)


def test_fixed_keys_need_no_store(tmp_path: Path) -> None:
    keys = ring(tmp_path, None)
    assert keys.refresh_keys()
    assert keys.find_grant("fixed") == Grant("default", "ingest", hash_key("fixed"), "configured key")
    assert keys.find_grant("root") == Grant("*", "operator", hash_key("root"), "configured key")
    assert (keys.find_grant(""), keys.find_grant("other"), keys.find_grant(hash_key("fixed"))) == (None, None, None)


def test_an_empty_fixed_key_opens_nothing() -> None:
    assert FixedKeys.from_configured_keys([""], [""]).grants == {}


def test_keys_of_the_store_are_valid_until_they_are_revoked(tmp_path: Path) -> None:
    store = Store([Record(hash_key("a"), "shop", "ingest"), Record(hash_key("b"), "shop", "operator", revoked=True)])
    keys = ring(tmp_path, store)
    assert keys.find_grant("a") is None
    assert keys.refresh_keys()
    assert keys.find_grant("a") == Grant("shop", "ingest", hash_key("a"), "abc")
    assert keys.find_grant("b") is None
    store.records[0].revoked = True
    keys.refresh_keys()
    assert keys.find_grant("a") is None


def test_the_cache_outlives_the_store_and_a_restart(tmp_path: Path) -> None:
    store = Store([Record(hash_key("a"), "shop", "ingest")], [Project("shop", ["https://shop.example"])])
    first = ring(tmp_path, store)
    first.refresh_keys()
    store.away = True
    assert not first.refresh_keys()
    assert first.source_fails == "away"
    again = ring(tmp_path, store)
    assert not again.refresh_keys()
    for keys in (first, again):
        assert keys.find_grant("a") == Grant("shop", "ingest", hash_key("a"), "abc")
        assert keys.allows_origin("https://shop.example", "shop")
    store.away = False
    assert again.refresh_keys()
    assert again.source_fails == ""


def test_the_cache_holds_hashes_and_is_private(tmp_path: Path) -> None:
    keys = ring(tmp_path, Store([Record(hash_key("secret-key"), "shop", "ingest")]))
    keys.refresh_keys()
    file = tmp_path / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"secret-key" not in file.read_bytes()
    assert b"fixed" not in file.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"grants": 5}', b"\xff"])
def test_a_damaged_cache_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys.json").write_bytes(content)
    keys = ring(tmp_path, Store([Record(hash_key("a"), "shop", "ingest")]))
    assert keys.find_grant("a") is None
    keys.refresh_keys()
    assert keys.find_grant("a") is not None


def test_a_cache_that_cannot_be_saved_still_serves(tmp_path: Path) -> None:
    keys = KeyRing(
        tmp_path / "missing" / "keys.json",
        FixedKeys(),
        lambda: Store([Record(hash_key("a"), "shop", "ingest")]),
    )
    assert keys.refresh_keys()
    assert keys.find_grant("a") is not None


def test_an_operator_without_a_project_sees_all_and_a_sender_always_has_one(tmp_path: Path) -> None:
    keys = ring(tmp_path, Store([Record(hash_key("o"), "", "operator"), Record(hash_key("i"), "", "ingest")]))
    keys.refresh_keys()
    operator, sender = keys.find_grant("o"), keys.find_grant("i")
    assert operator is not None
    assert sender is not None
    assert operator.sees_project("any")
    assert sender.project == "default"
    assert not Grant("shop", "operator", "").sees_project("other")


def test_origins_are_a_list_per_project(tmp_path: Path) -> None:
    known = [Project("shop", ["https://shop.example"]), Project("open", ["*"]), Project("closed", [])]
    keys = ring(tmp_path, Store([], known))
    keys.refresh_keys()
    assert keys.allows_origin("https://shop.example", "shop")
    assert not keys.allows_origin("https://shop.example", "closed")
    assert not keys.allows_origin("https://shop.example.evil", "shop")
    assert not keys.allows_origin("null", "shop")
    assert keys.allows_origin("https://any.example", "open")
    assert not keys.allows_origin("null", "open"), "every page can make a frame without an origin"
    assert not keys.allows_origin("http://localhost:3000", "shop")


def test_pages_of_this_machine_may_send_only_where_that_is_allowed(tmp_path: Path) -> None:
    keys = ring(tmp_path, None, allow_loopback=True)
    for origin in ("http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080"):
        assert keys.allows_origin(origin, "default")
        assert keys.allows_origin_somewhere(origin)
    for origin in ("http://localhost.evil", "https://evil.example", "null", "http://[bad", ""):
        assert not keys.allows_origin(origin, "default")


def test_the_background_refresh_stops(tmp_path: Path) -> None:
    keys = ring(tmp_path, Store([Record(hash_key("a"), "shop", "ingest")]))
    keys.start_refreshing()
    keys.stop_refreshing()
    assert keys.find_grant("a") is not None


def test_a_key_acts_under_its_label_or_prefix_and_never_as_the_rules(tmp_path: Path) -> None:
    store = Store(
        [
            Record(hash_key("a"), "shop", "operator", label=" On call "),
            Record(hash_key("b"), "shop", "operator", prefix="fu_12"),
            Record(hash_key("c"), "shop", "operator", label="rule"),
            Record(hash_key("d"), "shop", "operator", prefix=""),
        ]
    )
    keys = ring(tmp_path, store)
    keys.refresh_keys()
    store.away = True
    for known in (keys, ring(tmp_path, store)):
        grants = [known.find_grant(key) for key in "abcd"]
        assert [grant.name for grant in grants if grant] == ["On call", "fu_12", "key rule", "key"]


def test_settings_of_projects_are_cached_and_bad_ones_are_left_out(tmp_path: Path) -> None:
    good = {"requestsPerSecond": 50, "confirmSessions": 7, "ignoredRoutes": ["/admin/*"]}
    bad = {"requestsPerSecond": 0, "confirmUsers": "many", "ignoredTargets": "x", "jiraToken": "secret"}
    store = Store([], [Project("good", [], good), Project("bad", [], bad), Project("odd", [], [])])  # type: ignore[arg-type]
    keys = ring(tmp_path, store)
    keys.refresh_keys()
    store.away = True
    for known in (keys, ring(tmp_path, store)):
        settings = known.find_project_settings("good")
        assert (settings.requests_per_second, settings.confirm_sessions) == (50, 7)
        assert settings.fitting["ignoredRoutes"] == ["/admin/*"]
        assert settings.effective_confirm_rule(ConfirmRule(3, 2, 7.0)) == ConfirmRule(7, 2, 7.0)
        for project in ("bad", "odd", "unknown"):
            assert known.find_project_settings(project) == ProjectSettings()
    assert b"secret" not in (tmp_path / "keys.json").read_bytes()


def test_the_last_use_of_keys_is_told_and_not_forgotten_when_that_fails(tmp_path: Path) -> None:
    store = Store([Record(hash_key("a"), "shop", "ingest"), Record(hash_key("b"), "shop", "ingest")])
    keys = ring(tmp_path, store)
    keys.refresh_keys()
    keys.find_grant("a")
    keys.find_grant("unknown")
    store.used_is_refused = True
    assert keys.refresh_keys(), "the keys themselves are fresh"
    assert keys.source_fails == ""
    store.used_is_refused = False
    keys.refresh_keys()
    assert list(store.used) == [hash_key("a")]
