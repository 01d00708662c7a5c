"""One module turns the settings into stores."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.errors import NotConfigured, PermanentError
from core.package import ROOT
from core.settings import Settings
from stores import opening
from stores.embedded_postgres import EmbeddedPostgres

PRODUCT = (
    "furrow", "flows", "lander", "tasks", "blocks", "collector", "stores", "trackers", "incidents", "core", "ufse",
    "bench",
)  # fmt: skip
MAY_NAME_THE_MODES = {
    "core/settings.py",  # declares them as defaults
    "blocks/stores.py",  # a block's mode becomes the setting's value
    "furrow/installation/demo.py",  # makes settings with embedded stores
    "stores/opening.py",
}
MAY_CONSTRUCT = {
    "stores/opening.py",
    "bench/incidents.py",
    "bench/incremental.py",  # an embedded Postgres in a folder of the benchmark, which no setting names
    "bench/prefect_database.py",
    "bench/latency.py",
    "bench/pages.py",
    "bench/sizing.py",
}
STORES = {"EventStore", "IncidentStore", "LogIncidentStore", "EmbeddedPostgres"}
SETTINGS = {"event_store_url", "incident_store_url"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for room in PRODUCT:
        for file in (ROOT / room).rglob("*.py"):
            yield str(file.relative_to(ROOT)), ast.parse(file.read_text())


def names_a_mode(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and any(
        (node.module, alias.name) in (("core.settings", "EMBEDDED"), ("core.settings", "LOG")) for alias in node.names
    )


def compares_a_setting(node: ast.AST) -> bool:
    """``settings.event_store_url.get_secret_value() == "log"`` and the like, `in` and `match` included."""
    if isinstance(node, ast.Match):
        return any(isinstance(inner, ast.Attribute) and inner.attr in SETTINGS for inner in ast.walk(node.subject))
    if not isinstance(node, ast.Compare):
        return False
    inside = list(ast.walk(node))
    literal = any(isinstance(inner, ast.Constant) and inner.value in ("embedded", "log") for inner in inside)
    value = any(isinstance(inner, ast.Attribute) and inner.attr == "get_secret_value" for inner in inside)
    return literal and value


def constructs_a_store(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Attribute) and called.attr == "connect":
        called = called.value
    return isinstance(called, ast.Name) and called.id in STORES


@pytest.mark.parametrize(
    ("is_one", "allowed"),
    [
        (names_a_mode, MAY_NAME_THE_MODES),
        (compares_a_setting, {"stores/opening.py"}),
        (constructs_a_store, MAY_CONSTRUCT),
    ],
)
def test_no_other_module_answers_which_store_the_settings_mean(is_one: object, allowed: set[str]) -> None:
    assert callable(is_one)
    found = {name for name, module in modules() if any(is_one(node) for node in ast.walk(module))}
    assert found - allowed == set()


def test_the_check_sees_what_it_forbids() -> None:
    code = """
from core.settings import EMBEDDED
if settings.event_store_url.get_secret_value() == "log": pass
match settings.incident_store_url:
    case _: pass
EventStore(url)
IncidentStore.connect(url)
"""
    nodes = list(ast.walk(ast.parse(code)))
    assert [sum(map(check, nodes)) for check in (names_a_mode, compares_a_setting, constructs_a_store)] == [1, 2, 2]


def make_settings(folder: Path, events: str, incidents: str) -> Settings:
    return Settings(
        data_dir=folder, event_store_url=SecretStr(events), incident_store_url=SecretStr(incidents), _env_file=None
    )


def test_embedded_stores_are_in_the_data_directory(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, "embedded", "embedded")
    assert opening.are_all_embedded(settings)
    assert opening.find_event_store_url(settings) == f"chdb://{settings.events_dir.resolve()}"
    assert opening.find_incident_store_url(settings) == EmbeddedPostgres(settings.postgres_dir).url
    assert opening.find_running_incident_url(settings) is None  # it does not run


def test_servers_are_taken_as_they_are(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, "clickhouse://c:8123/d", "postgresql://u@h/d")
    assert not opening.are_all_embedded(settings)
    assert opening.find_event_store_url(settings) == "clickhouse://c:8123/d"
    assert opening.find_incident_store_url(settings) == "postgresql://u@h/d"
    assert opening.find_running_incident_url(settings) == "postgresql://u@h/d"
    with pytest.raises(PermanentError):
        opening.open_incident_store_at("sqlite://")


def test_the_mode_log_has_no_url(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, "log", "log")
    assert opening.find_event_store_url(settings) is None
    assert opening.find_incident_store_url(settings) is None
    assert opening.find_running_incident_url(settings) is None
    with pytest.raises(NotConfigured):
        opening.open_event_store(settings)
