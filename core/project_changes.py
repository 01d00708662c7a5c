"""Parses and checks what `furrow projects set` changes: origins and settings of a project."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import WrongUse
from core.project_settings import PARTED, find_setting_problem, is_project_id


def check_project_id(project: str) -> None:
    """Raise WrongUse for an invalid id."""
    if not is_project_id(project):
        raise WrongUse(
            "a project id has at most 64 characters: letters and digits, and after the first character also _ . -"
        )


def choose_origins(origin_options: Sequence[str], no_origins: bool) -> list[str] | None:
    """The origins that the options set; None if they set none. Raises WrongUse for contradicting or bad options."""
    if origin_options and no_origins:
        raise WrongUse("pass --origin or --no-origins, not both")
    if not origin_options:
        return [] if no_origins else None
    return list(dict.fromkeys(normalize_origin(origin) for origin in origin_options))


def normalize_origin(origin: str) -> str:
    """An origin as browsers send it: scheme, host, and port if it is not the default. Raises WrongUse."""
    if origin in ("*", "null"):
        return origin
    wrong = WrongUse(
        "an origin has the form https://shop.example, https://*.shop.example (all hosts below it) or http://localhost:3000: "
        f"{origin!r}"
    )
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username, parts.password)
    if (
        parts.scheme not in ("http", "https")
        or not host
        or any(rest)
        or not origin.isascii()
        or not origin.isprintable()
        or ("*" in host and not _is_wildcard_host(host))
    ):
        raise wrong
    name = f"[{host}]" if ":" in host else host
    usual = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{name}" if usual else f"{parts.scheme}://{name}:{port}"


def _is_wildcard_host(host: str) -> bool:
    """Whether ``host`` is ``*.`` and a name of at least two parts: below a single one, strangers have names."""
    return host.startswith("*.") and "*" not in host[1:] and "." in host[2:].strip(".")


def parse_setting_options(setting_options: Sequence[str]) -> dict[str, object]:
    """Parse ``name=value`` options; a value that is not JSON is text."""
    found: dict[str, object] = {}
    for assignment in setting_options:
        name, _, value = assignment.partition("=")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def read_project_file(project: str, file: Path | None) -> dict[str, object]:
    """The settings of a project in a configuration file; each threshold and weight is an entry of its own."""
    if file is None:
        return {}
    from core.engine_settings import read_engine_settings, to_stored_names

    found: dict[str, object] = {}
    for name, value in to_stored_names(read_engine_settings(file)[0].project_sections(project)).items():
        found |= (
            {f"{name}.{part}": part_value for part, part_value in value.items()} if name in PARTED else {name: value}
        )
    return found


def merge_settings(
    stored: Mapping[str, object], changes: Mapping[str, object], unset: Sequence[str]
) -> dict[str, object]:
    """The stored settings with ``changes`` applied and ``unset`` removed. Raises WrongUse for an invalid value."""
    merged = {name: dict(value) if isinstance(value, dict) else value for name, value in stored.items()}
    for name in unset:
        whole, _, part = name.partition(".")
        if not part:
            merged.pop(name, None)
        elif isinstance(parts := merged.get(whole), dict):
            parts.pop(part, None)
    for name, value in changes.items():
        whole, _, part = name.partition(".")
        if part and whole in PARTED:
            parts = merged.get(whole)
            merged[whole] = {**(parts if isinstance(parts, dict) else {}), part: value}
        else:
            merged[name] = value
    changed = {name if name in merged else name.partition(".")[0] for name in (*unset, *changes)}
    for name in changed & set(merged):
        if wrong := find_setting_problem(name, merged[name]):
            raise WrongUse(wrong)
    return {name: value for name, value in merged.items() if value != {} or name not in PARTED}
