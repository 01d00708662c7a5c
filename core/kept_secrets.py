"""The secrets of an installation: random, created at the first start, kept in files with mode 0600 in the data directory.

They appear in no log, artifact, process argument or error. Processes read them from their environment or from these files.
"""

import contextlib
import os
import secrets
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from core.errors import PermanentError
from core.hosts import LOOPBACK_NAMES, host_of_url
from core.settings import Settings

PREFECT_AUTH: Final = "prefect-auth"
"""File of the password of Prefect's API and UI: ``name:password``."""
INGEST_KEY: Final = "ingest-key"
"""File of the development key that may send events."""
OPERATOR_KEY: Final = "operator-key"
"""File of the development key that may read incidents and act on them."""
USER_SALT: Final = "user-salt"
"""File of the salt that user ids are hashed with."""

_PREFECT_USER: Final = "furrow"
_RANDOM_BYTES: Final = 32
_SERVER_VARIABLE: Final = "PREFECT_SERVER_API_AUTH_STRING"
_CLIENT_VARIABLE: Final = "PREFECT_API_AUTH_STRING"


def prefect_auth(settings: Settings) -> SecretStr:
    """The password of this installation's Prefect server: configured, or created now and kept. Raises PermanentError."""
    return _configured_auth(settings) or _load_or_create_secret(
        settings.data_dir / PREFECT_AUTH, lambda: f"{_PREFECT_USER}:{secrets.token_urlsafe(_RANDOM_BYTES)}"
    )


def known_prefect_auth(settings: Settings, api_url: str) -> SecretStr | None:
    """The password of the Prefect API at ``api_url``; None if it is unknown. Creates nothing.

    The password of this installation is returned only for this installation's address; ``PREFECT_API_AUTH_STRING`` holds that
    of another server.
    """
    elsewhere = _read_environment_secret(_CLIENT_VARIABLE)
    if not _is_own_prefect(settings, api_url):
        return elsewhere
    return _configured_auth(settings) or _read_secret_file(settings.data_dir / PREFECT_AUTH) or elsewhere


def development_keys(settings: Settings) -> tuple[SecretStr, SecretStr]:
    """The ingest key and the operator key, created now if they do not exist. Raises PermanentError."""
    ingest, operator = (
        _load_or_create_secret(settings.data_dir / name, lambda: f"dev-{secrets.token_hex(_RANDOM_BYTES)}")
        for name in (INGEST_KEY, OPERATOR_KEY)
    )
    return ingest, operator


def user_salt(settings: Settings) -> SecretStr:
    """The salt of this installation: configured, or created now and kept. Raises PermanentError."""
    return settings.user_salt or _load_or_create_secret(
        settings.data_dir / USER_SALT, lambda: secrets.token_hex(_RANDOM_BYTES), _keep_unchanged
    )


def known_user_salt(settings: Settings) -> SecretStr | None:
    """Like ``user_salt``, but creates nothing: None if there is none. Raises PermanentError."""
    return settings.user_salt or _read_secret_file(settings.data_dir / USER_SALT, _keep_unchanged)


def _keep_unchanged(text: str) -> str:
    """A salt that was written by hand keeps its line end: without it every user would get another pseudonym."""
    return text


def known_development_key(settings: Settings, name: str, collector_url: str, *, embedded: bool) -> SecretStr | None:
    """The key in the file ``name``, for a collector of this machine whose stores are ``embedded``; None otherwise."""
    host = host_of_url(collector_url)
    return (
        _read_secret_file(settings.data_dir / name) if embedded and host in (*LOOPBACK_NAMES, settings.host) else None
    )


def _configured_auth(settings: Settings) -> SecretStr | None:
    return settings.prefect_auth or _read_environment_secret(_SERVER_VARIABLE)


def _read_environment_secret(variable: str) -> SecretStr | None:
    value = os.environ.get(variable)
    return SecretStr(value) if value else None


def _is_own_prefect(settings: Settings, api_url: str) -> bool:
    try:
        address = urlsplit(api_url)
        own_host = address.hostname in (*LOOPBACK_NAMES, settings.prefect_host)
        return own_host and address.port == settings.prefect_port
    except ValueError:
        return False


def _load_or_create_secret(file: Path, make: Callable[[], str], cleaned: Callable[[str], str] = str.strip) -> SecretStr:
    """The content of ``file``; a missing file is created atomically, synced to disk and with mode 0600."""
    if (known := _read_secret_file(file, cleaned)) is not None:
        file.chmod(0o600)  # a copy of the directory may have lost the mode
        return known
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(make())
            opened.flush()
            os.fsync(opened.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its secret counts
            os.link(fresh, file)
    finally:
        fresh.unlink()
    kept = _read_secret_file(file, cleaned)
    assert kept is not None
    return kept


def _read_secret_file(file: Path, cleaned: Callable[[str], str] = str.strip) -> SecretStr | None:
    try:
        text = cleaned(file.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise PermanentError(f"{file} cannot be read: {error.strerror}") from None
    if not text.strip():
        raise PermanentError(f"{file} holds no secret; delete it, and `furrow up` makes another")
    return SecretStr(text)
