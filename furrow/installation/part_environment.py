"""Selects the environment of each process of ``furrow up``: what it needs, without the secrets of other parts.

The collector can be reached from the internet; it gets no tracker tokens and nothing of Prefect. The Prefect server gets no
secrets of stores and trackers. Other variables of the shell (cloud credentials, for example) are passed to no process. Each
secret is listed here by name; a new secret in the settings reaches a part only when it is added here.
"""

from collections.abc import Mapping
from typing import Final, get_args

from pydantic import SecretStr

from core import prefect_gate
from core.settings import ENV_FILE_VARIABLE, Settings

COLLECTOR: Final = "collector"
PREFECT: Final = "prefect"
ENGINE: Final = "engine"
PREPARE: Final = "furrow.installation.prepare"
DEPLOY: Final = "furrow.installation.deploy"

SECRETS: Final[Mapping[str, frozenset[str]]] = {
    COLLECTOR: frozenset({"incident_store_url", "ingest_key", "operator_key", "user_salt"}),
    PREFECT: frozenset({"prefect_auth"}),
    ENGINE: frozenset({"event_store_url", "incident_store_url", "jira_token", "linear_key", "prefect_auth"}),
    PREPARE: frozenset({"event_store_url", "incident_store_url", "prefect_auth"}),
    DEPLOY: frozenset({"event_store_url", "incident_store_url", "prefect_auth"}),
}
"""The secret settings that each part gets."""

SECRET: Final = frozenset(
    name
    for name, field in Settings.model_fields.items()
    if SecretStr in (field.annotation, *get_args(field.annotation))
)
"""All secret settings."""
_TRACKERS = ("jira_", "linear_", "tracker_")
_BESIDE = frozenset(
    {"FURROW_DEVELOPMENT_KEYS", prefect_gate.VARIABLE, ENV_FILE_VARIABLE}
)  # not FURROW_SECRETS_DIR, which contains all secrets

# Variables with which programs find files, languages and certificates.
_SYSTEM = frozenset(
    {
        *(
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "SHELL",
            "LANG",
            "LANGUAGE",
            "TZ",
            "TMPDIR",
            "TEMP",
            "TMP",
            "TERM",
            "NO_COLOR",
        ),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV", "DO_NOT_TRACK", "PROMETHEUS_MULTIPROC_DIR"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    }
)
_SYSTEM_PREFIXES = ("LC_", "PYTHON", "XDG_", "MALLOC_", "OMP_", "OPENBLAS_", "COVERAGE_", "DYLD_")
# A proxy address may contain a password. Only parts that send requests to other machines need it.
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})


def select_part_environment(part: str, whole: Mapping[str, str]) -> dict[str, str]:
    """The variables of ``whole`` that the process ``part`` gets; reading the file ``.env`` is disabled for it."""
    kept = {name: value for name, value in whole.items() if _is_variable_for(part, name)}
    return {**kept, ENV_FILE_VARIABLE: ""}


def _is_variable_for(part: str, name: str) -> bool:
    if name.startswith("FURROW_"):
        return name in _BESIDE or _is_setting_for(part, name.removeprefix("FURROW_").lower())
    if name.startswith("PREFECT_"):
        # Variables of the Prefect server may contain the password of its database or of its UI.
        servers = name.startswith(("PREFECT_SERVER_", "PREFECT_UI_")) or "DATABASE" in name
        return part == PREFECT or (part != COLLECTOR and not servers)
    if name.upper() in _PROXIES:
        return part != COLLECTOR
    return name in _SYSTEM or name.startswith(_SYSTEM_PREFIXES)


def _is_setting_for(part: str, setting: str) -> bool:
    if setting in SECRET:
        return setting in SECRETS.get(part, ())
    return setting in Settings.model_fields and (part == ENGINE or not setting.startswith(_TRACKERS))
