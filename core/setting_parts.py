"""Which processes of ``furrow up`` get a setting: a mark that stands at the setting's declaration.

A setting without a mark goes to every process, unless it is a secret: a secret goes only where its mark sends it. A setting
that is no secret needs a mark only to keep it from the collector or from Prefect. Such a mark names ENGINE: the engine gets
all settings that are no secrets.
"""

from dataclasses import dataclass
from typing import Final, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

COLLECTOR: Final = "collector"
PREFECT: Final = "prefect"
ENGINE: Final = "engine"
PREPARE: Final = "furrow.installation.prepare"
DEPLOY: Final = "furrow.installation.deploy"
PARTS: Final = (COLLECTOR, PREFECT, ENGINE, PREPARE, DEPLOY)
"""Every process of ``furrow up``."""


@dataclass(frozen=True, init=False)
class OnlyFor:
    """Mark of a setting in ``Annotated``: only these processes get it."""

    parts: frozenset[str]

    def __init__(self, *parts: str) -> None:
        object.__setattr__(self, "parts", frozenset(parts))


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting is a secret."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def find_secret_settings(model: type[BaseModel]) -> frozenset[str]:
    """Names of the settings of ``model`` that are secrets."""
    return frozenset(name for name, field in model.model_fields.items() if is_secret(field))


def goes_to_part(field: FieldInfo, part: str) -> bool:
    """Whether the process ``part`` gets a setting: if its mark names it; without a mark, unless it is a secret."""
    marks = [mark for mark in field.metadata if isinstance(mark, OnlyFor)]
    return all(part in mark.parts for mark in marks) if marks else not is_secret(field)
