"""Security checks of ``furrow doctor``: open addresses, weak keys, readable files, and connections without encryption.

Nothing is changed. Requests are only sent to this machine.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
from pydantic import SecretStr

from core import private_files
from core.errors import FurrowError
from core.metrics import count_degraded
from core.settings import Settings
from core.tracker_kinds import TRACKER_KINDS
from stores import opening
from trackers.transport import Reach, is_this_machine

SHORTEST_KEY: Final = 16
"""Minimum length of a key in the settings, in characters; shorter keys can be guessed."""

_TIMEOUT_SECONDS: Final = 5
_KNOWN_KEYS: Final = (("test-key", "send events"), ("test-operator-key", "read incidents"))
_COMMON_PASSWORDS: Final = frozenset(
    {"", "admin", "clickhouse", "default", "furrow", "password", "postgres", "root", "secret"}
)
_ENCRYPTED: Final = {"clickhouses", "https"}
_SSL_MODES: Final = {"require", "verify-ca", "verify-full"}


class Exposure(NamedTuple):
    """A security problem, and how to fix it."""

    what: str
    advice: str


def find_exposures(
    settings: Settings, incidents_url: str | None, prefect_url: str = "", login: SecretStr | None = None
) -> list[Exposure]:
    """All exposures that can be detected from this machine.

    ``incidents_url``: the incident store; None if it does not run. ``prefect_url``: Prefect's API; '' if it does not answer.
    ``login``: its ``name:password``, if known.
    """
    return [
        *_find_collector_exposures(settings),
        *_find_short_keys(settings),
        *_find_untrusted_proxy(settings),
        *(_find_prefect_exposures(settings, prefect_url, login)),
        *_find_readable_files(settings),
        *_find_store_exposures(settings),
        *_find_refused_trackers(settings),
        *_find_open_origins(incidents_url),
    ]


def _find_collector_exposures(settings: Settings) -> Iterator[Exposure]:
    if is_this_machine(settings.host):
        return
    yield Exposure(
        f"the collector listens on {settings.host}:{settings.port} without encryption",
        "bind it to 127.0.0.1 (FURROW_HOST), behind a proxy with TLS",
    )
    if not settings.events_api_only:
        yield Exposure(
            f"the API for operators can be reached at {settings.host}; only its keys protect it",
            "let the proxy forward only what pages and trackers send (docs/deploying.md); a collector that runs alone "
            "(`python -m collector`) can also serve nothing else: FURROW_EVENTS_API_ONLY=1",
        )
    for key, use in _KNOWN_KEYS:
        if _accepts_known_key(settings, key):
            yield Exposure(
                f"the collector on {settings.host} accepts the publicly known key {key} to {use}",
                "create keys with `furrow keys create`, and set FURROW_HOST=127.0.0.1 until then",
            )


def _accepts_known_key(settings: Settings, key: str) -> bool:
    """Whether the collector on this machine accepts ``key``. A request without events stores nothing."""
    url = f"http://127.0.0.1:{settings.port}/v1"
    headers = {"X-API-Key": key}
    try:
        if "operator" in key:
            answer = httpx.get(f"{url}/status", headers=headers, timeout=_TIMEOUT_SECONDS)
        else:
            answer = httpx.post(f"{url}/events", json={"events": []}, headers=headers, timeout=_TIMEOUT_SECONDS)
    except httpx.HTTPError:
        return False  # reported by the finding about the collector
    return answer.is_success or answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY)


def _find_short_keys(settings: Settings) -> Iterator[Exposure]:
    for name, key in (("FURROW_OPERATOR_KEY", settings.operator_key), ("FURROW_INGEST_KEY", settings.ingest_key)):
        if key is not None and len(key.get_secret_value()) < SHORTEST_KEY:
            yield Exposure(
                f"{name} has fewer than {SHORTEST_KEY} characters and can be guessed",
                "use a random key (`openssl rand -hex 32`), or one from `furrow keys create`",
            )


def _find_untrusted_proxy(settings: Settings) -> Iterator[Exposure]:
    url = urlsplit(settings.public_url)
    public = bool(url.hostname) and not is_this_machine(url.hostname or "")
    if public and (url.scheme == "https" or is_this_machine(settings.host)) and not settings.trusted_proxies:
        yield Exposure(
            f"{settings.public_url} is served by a proxy that is not trusted: all visitors count as one source",
            "add the proxy's address to FURROW_TRUSTED_PROXIES",
        )


def _find_prefect_exposures(settings: Settings, api: str, login: SecretStr | None) -> Iterator[Exposure]:
    host = settings.prefect_host
    if not is_this_machine(host):
        yield Exposure(
            f"Prefect's UI and API listen on {host}:{settings.prefect_port} without encryption",
            "bind them to 127.0.0.1, and use an SSH tunnel or a proxy with TLS",
        )
    if not api:
        return
    try:
        if httpx.get(f"{api}/admin/version", timeout=_TIMEOUT_SECONDS).is_success:
            yield Exposure(
                "Prefect's API needs no password: anybody who can reach it can run programs as this user",
                "set PREFECT_SERVER_API_AUTH_STRING (name:password) for the server and PREFECT_API_AUTH_STRING for its clients",
            )
        if _sends_analytics(api, login):
            yield Exposure(
                "the Prefect server sends analytics to Prefect",
                "set PREFECT_SERVER_ANALYTICS_ENABLED=false for the server",
            )
    except (httpx.HTTPError, ValueError):
        count_degraded("doctor", "prefect")


def _sends_analytics(api: str, login: SecretStr | None) -> bool:
    name, _, password = login.get_secret_value().partition(":") if login else ("", "", "")
    answer = httpx.get(f"{api}/admin/settings", auth=(name, password) if login else None, timeout=_TIMEOUT_SECONDS)
    if not answer.is_success:
        return False
    prefect_settings: Any = answer.json()
    server = prefect_settings.get("server") if isinstance(prefect_settings, dict) else None
    return isinstance(server, dict) and server.get("analytics_enabled") is True


def _find_readable_files(settings: Settings) -> Iterator[Exposure]:
    if settings.data_dir.is_dir():
        try:
            found = private_files.find_open_entries(settings.data_dir)
        except PermissionError:
            found = []
        if found:
            yield Exposure(
                f"other users can read {found[0]}" + (f" and {len(found) - 1:,} more" if len(found) > 1 else ""),
                f"run chmod -R go-rwx {settings.data_dir}; `furrow up` does the same at its start",
            )
    file = settings.model_config.get("env_file")
    if isinstance(file, str | os.PathLike) and _is_readable_by_others(Path(file)):
        yield Exposure(f"other users can read the settings in {file}, which may contain keys", f"run chmod 600 {file}")


def _is_readable_by_others(file: Path) -> bool:
    return file.is_file() and bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _find_store_exposures(settings: Settings) -> Iterator[Exposure]:
    stores = (
        ("event", "FURROW_EVENT_STORE_URL", settings.event_store_url),
        ("incident", "FURROW_INCIDENT_STORE_URL", settings.incident_store_url),
    )
    for name, variable, secret in stores:
        url = secret.get_secret_value()
        if opening.read_store_mode(secret) != "server":
            continue
        parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
        host = parts.hostname or query.get("host", [""])[0]
        if not host or host.startswith("/"):
            continue  # a socket of this machine
        encrypted = parts.scheme in _ENCRYPTED or bool(_SSL_MODES & set(query.get("sslmode", ())))
        if not encrypted and not is_this_machine(host):
            how = "sslmode=verify-full" if parts.scheme.startswith("postgres") else "clickhouses://"
            yield Exposure(f"the connection to the {name} store at {host} is not encrypted", f"use {how} in {variable}")
        if unquote(parts.password or "").lower() in {*_COMMON_PASSWORDS, (parts.username or "").lower()}:
            yield Exposure(
                f"the {name} store at {host} has no password or a common one",
                f"set a random password there and in {variable}",
            )


def _find_refused_trackers(settings: Settings) -> Iterator[Exposure]:
    reach = Reach.from_setting(settings.tracker_private_networks)
    for kind in TRACKER_KINDS:
        url = str(getattr(settings, kind.address))
        if url and kind.is_configured(settings):
            try:
                reach.check_url(url.strip(), kind.title)
            except FurrowError as error:
                yield Exposure(f"{kind.title} cannot get tickets: {error}", f"check FURROW_{kind.address.upper()}")


def _find_open_origins(incidents_url: str | None) -> Iterator[Exposure]:
    if incidents_url is None:
        return
    try:
        store = opening.open_incident_store_at(incidents_url)
        try:
            projects = store.keys.read_projects()
        finally:
            store.close()
    except FurrowError:
        return  # reported by the finding about the incident store
    for project in projects:
        if "*" in project.origins:
            yield Exposure(
                f"pages of any website may send events to the project {project.id[:100]!r}",
                f"set its origins: furrow projects set {project.id[:100]!r} --origin https://…",
            )
