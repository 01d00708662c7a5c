"""The settings of a running ``furrow up``, in a file of the data directory (mode 0600), for other commands.

The shell of ``furrow doctor`` may have other variables than the shell of ``furrow up``. The file has no secrets; of each
secret it has a keyed hash, to see whether it differs.
"""

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import SecretStr, ValidationError

from core.metrics import count_degraded
from core.settings import Settings

_FILE: Final = "running.json"
_HASH_BYTES: Final = 16


class SettingDifference(NamedTuple):
    """A setting that differs between this shell (``here``) and ``furrow up`` (``there``). Values of secrets are not shown."""

    variable: str
    here: str
    there: str

    def to_message(self) -> str:
        """For people."""
        return f"{self.variable} ({self.here} here, {self.there} in `furrow up`)"


class RunningSettings(NamedTuple):
    """The settings of a running installation: plain settings, and a keyed hash of each secret that is set."""

    plain: dict[str, object]
    hashes: dict[str, str]
    salt: bytes

    def apply_to_settings(self, settings: Settings) -> Settings:
        """``settings`` with the plain settings of the running installation; settings that it does not know do not change."""
        known = {name: value for name, value in self.plain.items() if name in Settings.model_fields}
        try:
            there = Settings.model_validate({**settings.model_dump(), **known})
        except ValidationError:
            return settings  # of another version; find_differences reports the differences
        return settings.model_copy(update={name: getattr(there, name) for name in known})

    def find_differences(self, settings: Settings) -> list[SettingDifference]:
        """The settings in ``settings`` that differ, sorted by variable."""
        here, found = _dump_plain_settings(settings), []
        for name in sorted(Settings.model_fields):
            variable = f"FURROW_{name.upper()}"
            value = getattr(settings, name)
            if name in here:
                if name in self.plain and here[name] != self.plain[name]:
                    found.append(
                        SettingDifference(
                            variable, _show_setting_value(here[name]), _show_setting_value(self.plain[name])
                        )
                    )
            elif _hash_secret(value, self.salt) != self.hashes.get(name, ""):
                both = bool(_secret_text(value)) and name in self.hashes
                there = "another value" if both else "set" if name in self.hashes else "not set"
                found.append(SettingDifference(variable, "set" if _secret_text(value) else "not set", there))
        return found


def keep_running_settings(settings: Settings) -> None:
    """Write the settings of ``furrow up`` to the file. Never raises: a failure to write is only counted."""
    salt = secrets.token_bytes(_HASH_BYTES)
    hashes = {
        name: _hash_secret(getattr(settings, name), salt)
        for name in Settings.model_fields
        if name not in _dump_plain_settings(settings)
    }
    content = {
        "pid": os.getpid(),
        "salt": salt.hex(),
        "settings": _dump_plain_settings(settings),
        "secrets": {name: value for name, value in hashes.items() if value},
    }
    file = settings.data_dir / _FILE
    fresh = file.with_suffix(".new")
    try:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(json.dumps(content))
        os.replace(fresh, file)
    except OSError:
        count_degraded("running", "unwritable")


def forget_running_settings(data_dir: Path) -> None:
    """Remove the file, if this process wrote it."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if int(json.loads((data_dir / _FILE).read_text())["pid"]) == os.getpid():
            (data_dir / _FILE).unlink()


def read_running_settings(data_dir: Path) -> RunningSettings | None:
    """The settings of the ``furrow up`` of this directory; None if none runs, or one of a version without this file."""
    try:
        content = json.loads((data_dir / _FILE).read_text())
        os.kill(int(content["pid"]), 0)
        return RunningSettings(dict(content["settings"]), dict(content["secrets"]), bytes.fromhex(content["salt"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _dump_plain_settings(settings: Settings) -> dict[str, object]:
    """The settings that are not secret, as JSON values."""
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    return settings.model_dump(mode="json", exclude=secret)


def _secret_text(value: SecretStr | None) -> str:
    return value.get_secret_value() if value else ""


def _hash_secret(value: SecretStr | None, salt: bytes) -> str:
    text = _secret_text(value)
    return hashlib.blake2b(text.encode(), key=salt, digest_size=_HASH_BYTES).hexdigest() if text else ""


def _show_setting_value(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)
