"""The parts of docs/ that are made from the code: ``make docs`` writes them, a test compares them."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

import blocks
from core.engine_settings import LEAST
from core.project_settings import SETTINGS
from core.settings import Settings
from core.tracker_kinds import TRACKER_KINDS
from ufse.config import THRESHOLDS
from ufse.weights import TEXTS, Weights

DOCS = Path(__file__).resolve().parent.parent / "docs"
_PART = "<!-- made by `make docs`: {name} -->\n{text}\n<!-- end -->"


def render_settings_table(settings: type[BaseSettings] = Settings) -> str:
    """Every setting: variable, default, meaning."""
    rows = [
        f"| `FURROW_{name.upper()}` | {_format_default(f)} | {f.description} |"
        for name, f in _ordered_settings(settings).items()
    ]
    return "| variable | default | meaning |\n|---|---|---|\n" + "\n".join(rows)


def render_blocks_tables() -> str:
    """Every block type with its fields."""
    parts = []
    for block in blocks.ALL:
        head = f"### {block.get_block_type_name()} (`{block.get_block_type_slug()}`)\n\n{block.get_description()}\n"
        rows = [
            f"| `{name}` | {_format_default(f)} | {f.description} |" for name, f in _described_fields(block).items()
        ]
        parts.append(head + "\n| field | default | meaning |\n|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts)


def render_projects_table() -> str:
    """What a project may set for itself."""
    rows = [f"| `{name}` | {setting.meaning} | {setting.expected} |" for name, setting in SETTINGS.items()]
    return "| setting | meaning | value |\n|---|---|---|\n" + "\n".join(rows)


def render_thresholds_table() -> str:
    """The engine's thresholds."""
    rows = [
        f"| `{name}` | {t.default:,} | {t.meaning} | {max(t.low, LEAST.get(name, t.low)):,} to {t.high:,} |"
        for name, t in THRESHOLDS.items()
    ]
    return "| threshold | default | meaning | from, to |\n|---|---:|---|---|\n" + "\n".join(rows)


def render_weights_table() -> str:
    """The points of the engine's score."""
    rows = [f"| `{weight.name}` | {weight.default} | {TEXTS[weight.name]} |" for weight in fields(Weights)]
    return "| weight | default | rule |\n|---|---:|---|\n" + "\n".join(rows)


def render_commands_page() -> str:
    """The page docs/commands.md: every command's help, by Typer's own generator."""
    typer = [sys.executable, "-m", "typer", "furrow.cli.app", "utils", "docs", "--name", "furrow"]
    return subprocess.run(typer, capture_output=True, text=True, check=True, cwd=DOCS.parent).stdout


def update_configuration_page(text: str) -> str:
    """``text`` of docs/configuration.md with its made parts made anew."""
    for name, made in _render_parts().items():
        marked = re.compile(re.escape(_PART.split("\n", 1)[0].format(name=name)) + r"\n.*?<!-- end -->", re.S)
        fresh = _PART.format(name=name, text=made)
        text = marked.sub(fresh.replace("\\", "\\\\"), text)
    return text


def _render_parts() -> dict[str, str]:
    return {
        "settings": render_settings_table(),
        "blocks": render_blocks_tables(),
        "projects": render_projects_table(),
        "thresholds": render_thresholds_table(),
        "weights": render_weights_table(),
    }


def _ordered_settings(settings: type[BaseSettings]) -> dict[str, FieldInfo]:
    """The fields of ``settings``, those of trackers last."""
    trackers = {name: field for kind in TRACKER_KINDS for name, field in kind.settings.model_fields.items()}
    return {name: field for name, field in settings.model_fields.items() if name not in trackers} | trackers


def _described_fields(block: type[BaseModel]) -> dict[str, FieldInfo]:
    return {name: field for name, field in block.model_fields.items() if field.description}


def _format_default(field: FieldInfo) -> str:
    value: Any = field.get_default()
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "–" if value is None or value == "" else f"`{value}`"


if __name__ == "__main__":
    page = DOCS / "configuration.md"
    page.write_text(update_configuration_page(page.read_text()))
    (DOCS / "commands.md").write_text(render_commands_page())
