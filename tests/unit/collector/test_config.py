"""The collector is told everything by its environment or by JSON, and shows no secret of it."""

import stat
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from collector.config import CollectorConfig
from collector.metrics import render_metrics
from collector.routes import query
from collector.transport.limits import RateLimit
from core.settings import Settings
from incidents.lifecycle import ConfirmRule
from stores.embedded_postgres import EmbeddedPostgres
from stores.incidents import incident_orders, incident_read


def test_the_settings_of_an_installation_configure_its_collector(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=8181, spool_max_mb=3, events_api_only=True, user_salt=SecretStr("s"))
    config = CollectorConfig.from_settings(settings)
    assert (config.host, config.port, config.api, config.embedded) == ("127.0.0.1", 8181, False, False)
    assert (config.spool_dir, config.spool_max_bytes) == (tmp_path / "spool", 3 << 20)
    assert config.incident_store_url.get_secret_value() == EmbeddedPostgres(tmp_path / "postgres").url
    assert CollectorConfig.from_settings(settings, development_keys=True).embedded
    strict = Settings(data_dir=tmp_path, confirm_sessions=9, confirm_users=8, confirm_days=7, user_salt=SecretStr("s"))
    assert CollectorConfig.from_settings(strict).confirm == ConfirmRule(9, 8, 7)


@pytest.mark.parametrize(("told", "used"), [("log", ""), ("postgresql://u@h/d", "postgresql://u@h/d")])
def test_the_incident_store_may_be_a_server_or_none(tmp_path: Path, told: str, used: str) -> None:
    settings = Settings(data_dir=tmp_path, incident_store_url=SecretStr(told), user_salt=SecretStr("s"))
    assert CollectorConfig.from_settings(settings).incident_store_url.get_secret_value() == used


def test_a_salt_is_made_once_and_kept_private(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", user_salt=None)
    first, again = (CollectorConfig.from_settings(settings).user_salt for _ in range(2))
    assert first == again
    assert len(first.get_secret_value()) == 64
    assert stat.S_IMODE((tmp_path / "data" / "user-salt").stat().st_mode) == 0o600


def test_the_environment_decides_on_development_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FURROW_INGEST_KEY", "mine")
    monkeypatch.delenv("FURROW_DEVELOPMENT_KEYS", raising=False)
    config = CollectorConfig.from_environment()
    assert not config.embedded
    assert config.ingest_key == SecretStr("mine")
    monkeypatch.setenv("FURROW_DEVELOPMENT_KEYS", "1")
    assert CollectorConfig.from_environment().embedded


@pytest.mark.parametrize(
    ("settings", "local"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"public_url": "http://localhost:8080"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "192.168.1.5"}, False),
        ({"trusted_proxies": "127.0.0.1"}, False),
        ({"public_url": "https://furrow.example"}, False),
    ],
)
def test_the_key_that_everyone_knows_is_for_this_machine_alone(
    tmp_path: Path, settings: dict[str, str], local: bool
) -> None:
    """The installation's own keys are valid in any case: nobody else knows them."""
    config = CollectorConfig.from_settings(Settings(data_dir=tmp_path, **settings), development_keys=True)
    assert config.embedded == local
    assert config.development_ingest_key != config.development_operator_key
    assert config.development_operator_key == SecretStr((tmp_path / "operator-key").read_text())
    assert CollectorConfig.from_settings(Settings(data_dir=tmp_path, **settings)).development_operator_key is None


def test_events_are_taken_under_any_name_where_others_are_meant_to_reach_the_collector(tmp_path: Path) -> None:
    def at_any(**settings: str) -> bool:
        return CollectorConfig.from_settings(Settings(data_dir=tmp_path, **settings)).intake_at_any_host

    assert not at_any()
    assert not at_any(public_url="https://furrow.example")
    assert at_any(host="0.0.0.0")
    assert not at_any(host="0.0.0.0", allowed_hosts="furrow.example")
    named = Settings(
        data_dir=tmp_path, host="furrow.lan", public_url="https://furrow.example/x", allowed_hosts="a.example,*.b"
    )
    assert CollectorConfig.from_settings(named).allowed_hosts == ("furrow.lan", "furrow.example", "a.example", "*.b")


def test_secrets_do_not_show(tmp_path: Path) -> None:
    config = CollectorConfig(spool_dir=tmp_path, user_salt=SecretStr("hush-salt"), ingest_key=SecretStr("hush-key"))
    assert "hush" not in repr(config) + config.model_dump_json()


@pytest.mark.parametrize("wrong", ['{"spool_dir": "x"}', '{"spool_dir": "x", "user_salt": ""}', "{}", "[]", ""])
def test_a_configuration_without_a_salt_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        CollectorConfig.model_validate_json(wrong)


def asked(limit: RateLimit, name: str, now: float, rate: float | None = None) -> float:
    wait = limit.find_wait_seconds(name, now, rate)
    if not wait:
        limit.take_tokens(name, now, rate)
    return wait


def test_a_rate_limit_allows_a_burst_and_then_its_rate() -> None:
    limit = RateLimit(2.0)
    assert [asked(limit, "k", 100.0) for _ in range(4)] == [0.0] * 4
    assert asked(limit, "k", 100.0) == pytest.approx(0.5)
    assert asked(limit, "k", 100.25) == pytest.approx(0.25), "a refusal costs nothing"
    assert asked(limit, "k", 100.5) == 0.0
    assert asked(limit, "other", 100.5) == 0.0
    assert [asked(limit, "k", 1e9) for _ in range(5)].count(0.0) == 4, "rest is not saved up beyond the burst"


def test_a_name_may_have_a_rate_of_its_own() -> None:
    limit = RateLimit(1_000.0)
    assert [asked(limit, "slow", 100.0, 1.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(1.0)]
    assert [asked(limit, "fast", 100.0) for _ in range(3)] == [0.0] * 3


def test_metrics_of_all_processes_are_told_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"furrow_events_accepted_total" in render_metrics()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert b"furrow_events_accepted_total" not in render_metrics(), "an empty directory of metrics holds none"


def test_incidents_can_be_sorted_by_what_the_store_sorts_by() -> None:
    assert set(query.SORTS) == set(incident_orders.ORDERS)
    assert query.MAX_LIMIT == incident_read.MAX_LIMIT
