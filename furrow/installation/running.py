"""What ``furrow up`` runs with, for the commands beside it: its settings in a file of the data directory, 0600.

The shell in which a person types ``furrow doctor`` may have other variables than the one in which ``furrow up`` was started.
Secrets are not in the file: of each there is a keyed hash, which says whether it is the same.
"""

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import SecretStr, ValidationError

from core.metrics import count_degraded
from core.settings import Settings

_FILE: Final = "running.json"
_HASH_BYTES: Final = 16


class SettingDifference(NamedTuple):
    """A setting that a shell has otherwise than ``furrow up``; values of secrets are not said."""

    variable: str
    here: str
    there: str

    def to_message(self) -> str:
        """For people."""
        return f"{self.variable} ({self.here} here, {self.there} there)"


class RunningSettings(NamedTuple):
    """The settings of a running installation: those that are no secret, and of each secret that is set a keyed hash."""

    plain: dict[str, Any]
    hashes: dict[str, str]
    salt: bytes

    def apply_to_settings(self, settings: Settings) -> Settings:
        """``settings`` with what is no secret as the running installation has it. What an older one does not know stays."""
        known = {name: value for name, value in self.plain.items() if name in Settings.model_fields}
        try:
            there = Settings.model_validate({**settings.model_dump(), **known})
        except ValidationError:
            return settings  # of another version; `differences` says what differs
        return settings.model_copy(update={name: getattr(there, name) for name in known})

    def find_differences(self, settings: Settings) -> list[SettingDifference]:
        """What differs in ``settings``, by variable."""
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
                there = "another one" if both else "set" if name in self.hashes else "not set"
                found.append(SettingDifference(variable, "set" if _secret_text(value) else "not set", there))
        return found


def keep_running_settings(settings: Settings) -> None:
    """Write what ``furrow up`` runs with; never raises: what cannot be written is counted."""
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
    """This process runs nothing there any more; what another one keeps stays."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if int(json.loads((data_dir / _FILE).read_text())["pid"]) == os.getpid():
            (data_dir / _FILE).unlink()


def read_running_settings(data_dir: Path) -> RunningSettings | None:
    """What the ``furrow up`` of this directory runs with; None when none does, or it is an older version's."""
    try:
        content = json.loads((data_dir / _FILE).read_text())
        os.kill(int(content["pid"]), 0)
        return RunningSettings(dict(content["settings"]), dict(content["secrets"]), bytes.fromhex(content["salt"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _dump_plain_settings(settings: Settings) -> dict[str, Any]:
    """The settings that are no secret, as JSON values."""
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    return settings.model_dump(mode="json", exclude=secret)


def _secret_text(value: SecretStr | None) -> str:
    return value.get_secret_value() if value else ""


def _hash_secret(value: SecretStr | None, salt: bytes) -> str:
    text = _secret_text(value)
    return hashlib.blake2b(text.encode(), key=salt, digest_size=_HASH_BYTES).hexdigest() if text else ""


def _show_setting_value(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)
