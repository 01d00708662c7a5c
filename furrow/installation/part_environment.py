"""What each process of ``furrow up`` gets of the environment: what it needs, and no secret of another part.

The collector faces the internet and gets neither a tracker's token nor anything of Prefect; the Prefect server gets no
secret of stores or trackers; what else lies in the environment of whoever starts Furrow (cloud credentials, say) goes to none.
The declaration of a setting says which parts get it (`core.setting_parts`); a secret without such a mark goes to none.
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
"""Settings that are secret, by the parts that get them."""
_BESIDE = frozenset(
    {"FURROW_DEVELOPMENT_KEYS", prefect_gate.VARIABLE, ENV_FILE_VARIABLE}
)  # not FURROW_SECRETS_DIR: that is all of them

# Of the environment of whoever starts Furrow: how programs find files, languages and certificates.
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
# A proxy's address may hold a password; those who call out need it: trackers, and Prefect's notifications.
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
        # What only its server reads may hold the password of its database, or that of its pages.
        servers = name.startswith(("PREFECT_SERVER_", "PREFECT_UI_")) or "DATABASE" in name
        return part == PREFECT or (part != COLLECTOR and not servers)
    if name.upper() in _PROXIES:
        return part != COLLECTOR
    return name in _SYSTEM or name.startswith(_SYSTEM_PREFIXES)
