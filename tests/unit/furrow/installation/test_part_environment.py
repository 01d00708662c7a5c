"""Which variables each process of `furrow up` gets."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.setting_parts import COLLECTOR, DEPLOY, ENGINE, PREFECT, PREPARE
from core.settings import EMBEDDED, ENV_FILE_VARIABLE, Settings
from furrow.installation.part_environment import SECRET, SECRETS, select_part_environment
from furrow.installation.up import Installation

PARTS = [COLLECTOR, PREFECT, ENGINE, PREPARE, DEPLOY]


def environments(data: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """The environment of each part where every secret has its own value, and the shell holds some more."""
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "FURROW_JIRA_PASSWORD", "DATABASE_URL", "PREFECT_API_KEY"):
        monkeypatch.setenv(name, f"secret-of-the-shell-{name}")
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql://x:secret-of-the-server@db/prefect")
    monkeypatch.setenv("HTTPS_PROXY", "http://x:secret-of-the-proxy@proxy:3128")
    secrets = {name: SecretStr(f"secret-{name}") for name in SECRET}
    installation = Installation(Settings(data_dir=data).model_copy(update=secrets), print)
    return {part: select_part_environment(part, installation.make_environment()) for part in PARTS}


def test_each_secret_goes_to_the_parts_that_need_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part, environment in environments(tmp_path, monkeypatch).items():
        text = "\n".join(environment.values())
        assert {name for name in SECRET if f"secret-{name}" in text.splitlines()} == SECRETS[part] & SECRET


def test_the_parts_of_each_secret() -> None:
    """The whole list once more: a declaration that changes by mistake must not give a secret to another part."""
    stores = {"event_store_url", "incident_store_url"}
    assert {
        COLLECTOR: {
            "incident_store_url",
            "ingest_key",
            "oidc_client_secret",
            "operator_key",
            "user_salt",
            "jira_webhook_secret",
            "linear_webhook_secret",
            "github_webhook_secret",
            "gitlab_webhook_secret",
        },
        PREFECT: {"prefect_auth"},
        ENGINE: {
            *stores,
            "alert_urls",
            "jira_token",
            "linear_key",
            "github_token",
            "gitlab_token",
            "webhook_secret",
            "prefect_auth",
        },
        PREPARE: {*stores, "prefect_auth"},
        DEPLOY: {*stores, "prefect_auth"},
    } == SECRETS


def test_every_secret_goes_to_a_part() -> None:
    assert frozenset.union(*SECRETS.values()) >= SECRET
    assert {"jira_token", "linear_key", "user_salt", "ingest_key", "operator_key", "event_store_url"} <= SECRET
    assert set(SECRETS) == set(PARTS)


def test_the_collector_knows_no_tracker_and_no_prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = environments(tmp_path, monkeypatch)[COLLECTOR]
    trackers = ("JIRA", "LINEAR", "GITHUB", "GITLAB", "WEBHOOK", "TRACKER")
    # With these it checks what trackers send; no tracker accepts them.
    checking = {f"FURROW_{tracker}_WEBHOOK_SECRET" for tracker in ("JIRA", "LINEAR", "GITHUB", "GITLAB")}
    assert not [name for name in environment if any(word in name for word in trackers) and name not in checking]
    assert not [name for name in environment if name.startswith("PREFECT_") or name.endswith("_PROXY")]
    assert not SECRETS[COLLECTOR] & {"event_store_url", "jira_token", "linear_key"}


def test_what_else_the_shell_holds_reaches_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part, environment in environments(tmp_path, monkeypatch).items():
        told = [value for value in environment.values() if value.startswith("secret-of-the-shell")]
        assert told == ([] if part == COLLECTOR else ["secret-of-the-shell-PREFECT_API_KEY"])
        assert ("secret-of-the-server" in str(environment)) == (part == PREFECT)
        assert ("secret-of-the-proxy" in str(environment)) == (part != COLLECTOR)
        assert environment["PATH"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_reads_no_file_of_settings(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part runs in the project's folder, where a `.env` may lie; Postgres' password in there is not the collector's."""
    (tmp_path / ".env").write_text("FURROW_JIRA_TOKEN=of-the-file\nFURROW_JIRA_USER=of-the-file\n")
    monkeypatch.chdir(tmp_path)
    program = "from core.settings import Settings; s = Settings(); print(s.jira_token, s.jira_user or None)"
    for environment, told in (
        (select_part_environment(part, Installation(Settings(_env_file=None), print).make_environment()), "None None"),
        ({"PYTHONPATH": str(Path(__file__).parents[4])}, "********** of-the-file"),
    ):
        assert environment.get(ENV_FILE_VARIABLE, "") == ""
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == told, done.stderr


def test_all_that_is_not_secret_reaches_the_engine(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, detect_seconds=7)
    whole = Installation(settings, print).make_environment()
    engine = select_part_environment(ENGINE, whole)
    assert engine["FURROW_DETECT_SECONDS"] == "7"
    assert engine["FURROW_EVENT_STORE_URL"] == EMBEDDED
    missing = {name for name in whole if name.startswith("FURROW_")} - set(engine)
    assert missing <= {f"FURROW_{name.upper()}" for name in SECRET}, (
        "`OnlyFor` of a setting that is no secret names ENGINE"
    )
