"""The parts of docs/configuration.md that are made from the code: ``make docs`` writes them, a test compares them."""

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

import blocks
from furrow.settings import Settings

_PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
_PART = "<!-- made by `make docs`: {name} -->\n{text}\n<!-- end -->"


def settings_table() -> str:
    """Every setting: variable, default, meaning."""
    rows = [f"| `FURROW_{name.upper()}` | {_default(f)} | {f.description} |" for name, f in Settings.model_fields.items()]
    return "| variable | default | meaning |\n|---|---|---|\n" + "\n".join(rows)


def blocks_tables() -> str:
    """Every block type with its fields."""
    parts = []
    for block in blocks.ALL:
        head = f"### {block.get_block_type_name()} (`{block.get_block_type_slug()}`)\n\n{block.get_description()}\n"
        rows = [f"| `{name}` | {_default(f)} | {f.description} |" for name, f in _fields(block).items()]
        parts.append(head + "\n| field | default | meaning |\n|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts)


def page(text: str) -> str:
    """``text`` of the page with its made parts made anew."""
    for name, made in (("settings", settings_table()), ("blocks", blocks_tables())):
        marked = re.compile(re.escape(_PART.split("\n", 1)[0].format(name=name)) + r"\n.*?<!-- end -->", re.S)
        fresh = _PART.format(name=name, text=made)
        text = marked.sub(fresh.replace("\\", "\\\\"), text)
    return text


def _fields(block: type[BaseModel]) -> dict[str, FieldInfo]:
    return {name: field for name, field in block.model_fields.items() if field.description}


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default()
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "–" if value is None or value == "" else f"`{value}`"


if __name__ == "__main__":
    _PAGE.write_text(page(_PAGE.read_text()))
