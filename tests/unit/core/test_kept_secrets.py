"""Secrets of an installation: made once, whole, private, and known for its own addresses alone."""

import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from core import kept_secrets
from core.errors import PermanentError
from core.kept_secrets import INGEST_KEY, OPERATOR_KEY, PREFECT_AUTH, USER_SALT
from core.settings import Settings

HERE = "http://127.0.0.1:4200/api"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING", "FURROW_PREFECT_AUTH"):
        monkeypatch.delenv(name, raising=False)


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_they_are_made_once_private_and_never_alike(tmp_path: Path) -> None:
    settings, other = Settings(data_dir=tmp_path / "a"), Settings(data_dir=tmp_path / "b")
    auth = kept_secrets.prefect_auth(settings)
    keys = kept_secrets.development_keys(settings)
    assert (kept_secrets.prefect_auth(settings), kept_secrets.development_keys(settings)) == (auth, keys)
    all_of_them = {*keys, *kept_secrets.development_keys(other), auth, kept_secrets.prefect_auth(other)}
    assert len(all_of_them) == 6
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == sorted((INGEST_KEY, OPERATOR_KEY, PREFECT_AUTH))
    assert {mode(file) for file in (tmp_path / "a").iterdir()} == {0o600}
    assert all(len(one.get_secret_value()) > 40 for one in all_of_them)


def test_a_copy_that_lost_its_mode_gets_it_back(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    auth = kept_secrets.prefect_auth(settings)
    (tmp_path / PREFECT_AUTH).chmod(0o644)
    assert kept_secrets.prefect_auth(settings) == auth
    assert mode(tmp_path / PREFECT_AUTH) == 0o600


@pytest.mark.parametrize("make", ["user_salt", "prefect_auth", "development_keys"])
def test_a_kill_while_one_is_made_leaves_none_behind(tmp_path: Path, make: str) -> None:
    settings = Settings(data_dir=tmp_path, user_salt=None)
    killed = (
        "import os, secrets, signal, sys; from pathlib import Path;"
        "from core import kept_secrets; from core.settings import Settings;"
        "secrets.token_hex = secrets.token_urlsafe = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        f"kept_secrets.{make}(Settings(data_dir=Path(sys.argv[1]), user_salt=None))"
    )
    assert subprocess.run([sys.executable, "-c", killed, tmp_path], check=False).returncode == -signal.SIGKILL
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".")] == []
    assert getattr(kept_secrets, make)(settings) == getattr(kept_secrets, make)(settings)


def test_a_salt_is_used_as_it_stands_in_its_file(tmp_path: Path) -> None:
    """A salt of earlier versions was; without its line end, each user would have another pseudonym."""
    settings = Settings(data_dir=tmp_path, user_salt=None)
    assert kept_secrets.known_user_salt(settings) is None
    (tmp_path / USER_SALT).write_text("by hand\n")
    assert kept_secrets.user_salt(settings) == kept_secrets.known_user_salt(settings) == SecretStr("by hand\n")
    (tmp_path / USER_SALT).write_text("")
    for read in (kept_secrets.user_salt, kept_secrets.known_user_salt):
        with pytest.raises(PermanentError, match="holds no secret"):
            read(settings)


def test_many_that_start_at_once_agree(tmp_path: Path) -> None:
    found: list[SecretStr] = []
    begin = threading.Barrier(16)

    def start() -> None:
        begin.wait()
        found.append(kept_secrets.prefect_auth(Settings(data_dir=tmp_path)))

    threads = [threading.Thread(target=start) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.get_secret_value() for one in found}) == 1
    assert [file.name for file in tmp_path.iterdir()] == [PREFECT_AUTH]


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xff\xfe"])
def test_a_broken_file_is_named_and_not_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / PREFECT_AUTH).write_bytes(content)
    with pytest.raises(PermanentError, match="prefect-auth holds no secret"):
        kept_secrets.prefect_auth(Settings(data_dir=tmp_path))
    assert (tmp_path / PREFECT_AUTH).read_bytes() == content


def test_the_string_is_known_for_this_installation_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path)
    assert kept_secrets.known_prefect_auth(settings, HERE) is None
    assert list(tmp_path.iterdir()) == []
    auth = kept_secrets.prefect_auth(settings)
    for url in (HERE, "http://localhost:4200/api", "http://[::1]:4200/api"):
        assert kept_secrets.known_prefect_auth(settings, url) == auth
    for url in (
        "http://127.0.0.1:4201/api",
        "https://prefect.example/api",
        "http://127.0.0.1.evil.example:4200/api",
        "http://[x",
    ):
        assert kept_secrets.known_prefect_auth(settings, url) is None
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "elsewhere:password")
    assert kept_secrets.known_prefect_auth(settings, "https://prefect.example/api") == SecretStr("elsewhere:password")
    assert kept_secrets.known_prefect_auth(settings, HERE) == auth
    configured = Settings(data_dir=tmp_path, prefect_auth=SecretStr("set:by-an-operator"))
    assert kept_secrets.known_prefect_auth(configured, HERE) == SecretStr("set:by-an-operator")
    assert kept_secrets.prefect_auth(configured) == SecretStr("set:by-an-operator")


def test_development_keys_are_for_this_machines_embedded_collector(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    ingest, _ = kept_secrets.development_keys(settings)
    here = "http://127.0.0.1:8080"
    assert kept_secrets.known_development_key(settings, INGEST_KEY, here, embedded=True) == ingest
    assert kept_secrets.known_development_key(settings, INGEST_KEY, "http://collector.example", embedded=True) is None
    assert kept_secrets.known_development_key(settings, INGEST_KEY, here, embedded=False) is None


@pytest.mark.parametrize(
    "weak", ["furrow", "short:one", ":no-name-at-all", "no-colon-at-all", "furrow:pässword1", "furrow:pass word\n"]
)
def test_a_weak_string_is_refused_and_not_shown(weak: str) -> None:
    with pytest.raises(ValidationError) as error:
        Settings(prefect_auth=SecretStr(weak))
    assert weak not in str(error.value)
