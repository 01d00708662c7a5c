"""A setting is added with its declaration alone: limits, documentation, and the processes that get it derive from that."""

from typing import Annotated

import pytest
from pydantic import Field, SecretStr, ValidationError

from core.setting_parts import COLLECTOR, ENGINE, PARTS, PREFECT, OnlyFor
from core.settings import Settings
from furrow.installation.part_environment import select_part_environment
from scripts import reference


class WiderSettings(Settings):
    """The settings with three more."""

    toy_minutes: int = Field(7, ge=1, description="Minutes of the toy.")
    toy_address: Annotated[str, OnlyFor(ENGINE, PREFECT)] = Field("", description="Address of the toy.")
    toy_secret: Annotated[SecretStr | None, OnlyFor(COLLECTOR)] = Field(None, description="Secret of the toy.")
    toy_orphan: SecretStr | None = Field(None, description="A secret without a mark.")


def test_the_documentation_lists_a_new_setting() -> None:
    table = reference.render_settings_table(WiderSettings)
    assert "| `FURROW_TOY_MINUTES` | `7` | Minutes of the toy. |" in table
    assert "| `FURROW_TOY_SECRET` | – | Secret of the toy. |" in table
    assert "TOY" not in reference.render_settings_table()


def test_the_declaration_says_which_process_gets_a_new_setting() -> None:
    names = ("MINUTES", "ADDRESS", "SECRET", "ORPHAN")
    whole = {f"FURROW_TOY_{name}": name for name in names}
    found = {part: set(select_part_environment(part, whole, WiderSettings).values()) & set(names) for part in PARTS}
    everywhere = {"MINUTES"}
    assert found[COLLECTOR] == everywhere | {"SECRET"}
    assert found[ENGINE] == found[PREFECT] == everywhere | {"ADDRESS"}
    assert all(found[part] == everywhere for part in set(PARTS) - {COLLECTOR, ENGINE, PREFECT})


def test_the_environment_sets_a_new_setting_within_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_TOY_MINUTES", "12")
    assert WiderSettings(_env_file=None).toy_minutes == 12  # type: ignore[call-arg]
    monkeypatch.setenv("FURROW_TOY_MINUTES", "0")
    with pytest.raises(ValidationError, match="toy_minutes"):
        WiderSettings(_env_file=None)  # type: ignore[call-arg]
