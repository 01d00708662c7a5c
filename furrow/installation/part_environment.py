"""Selects the environment of each process of ``furrow up``: what it needs, without the secrets of other parts.

The collector can be reached from the internet; it gets no tracker tokens and nothing of Prefect. The Prefect server gets no
secrets of stores and trackers. Other variables of the shell (cloud credentials, for example) are passed to no process. The
declaration of a setting names the parts that get it (`core.setting_parts`); a secret without such a mark goes to none.
"""

from collections.abc import Mapping
from typing import Final

from pydantic_settings import BaseSettings

from core import prefect_gate
from core.setting_parts import COLLECTOR, PARTS, PREFECT, find_secret_settings, goes_to_part
from core.settings import ENV_FILE_VARIABLE, Settings

SECRET: Final = find_secret_settings(Settings)
"""Every setting that is secret."""
SECRETS: Final[Mapping[str, frozenset[str]]] = {
    part: frozenset(name for name in SECRET if goes_to_part(Settings.model_fields[name], part)) for part in PARTS
}
"""The secret settings that each part gets."""
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


def select_part_environment(
    part: str, whole: Mapping[str, str], settings: type[BaseSettings] = Settings
) -> dict[str, str]:
    """The variables of ``whole`` that the process ``part`` gets, and the one that keeps it from reading the file ``.env``."""
    kept = {name: value for name, value in whole.items() if _is_variable_for(part, name, settings)}
    return {**kept, ENV_FILE_VARIABLE: ""}


def _is_variable_for(part: str, name: str, settings: type[BaseSettings]) -> bool:
    if name.startswith("FURROW_"):
        field = settings.model_fields.get(name.removeprefix("FURROW_").lower())
        return name in _BESIDE or (field is not None and goes_to_part(field, part))
    if name.startswith("PREFECT_"):
        # Variables of the Prefect server may contain the password of its database or of its UI.
        servers = name.startswith(("PREFECT_SERVER_", "PREFECT_UI_")) or "DATABASE" in name
        return part == PREFECT or (part != COLLECTOR and not servers)
    if name.upper() in _PROXIES:
        return part != COLLECTOR
    return name in _SYSTEM or name.startswith(_SYSTEM_PREFIXES)
