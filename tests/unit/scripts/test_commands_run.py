"""A command that no test runs does not exist: each command of `furrow` is called somewhere in the tests."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from furrow.cli.app import app

TESTS = Path(__file__).parents[2]
LISTS = {"wrong_calls.py", Path(__file__).name}
"""Calls that fail, and this file."""


def list_commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, part in getattr(command, "commands", {}).items():
        yield from list_commands(part, (*words, name))
    if not getattr(command, "commands", {}):
        yield words


def list_calls() -> Iterator[tuple[object, ...]]:
    """The constants of each call, list and tuple in the tests, in order."""
    for file in sorted(TESTS.rglob("*.py")):
        if file.name in LISTS or "node_modules" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            parts = node.args if isinstance(node, ast.Call) else getattr(node, "elts", [])
            yield tuple(part.value if isinstance(part, ast.Constant) else None for part in parts)


def test_each_command_is_run_by_a_test() -> None:
    calls = list(set(list_calls()))
    commands = list(list_commands(typer.main.get_command(app)))
    assert len(commands) > 30
    missing = [
        " ".join(command)
        for command in commands
        if not any(
            call[at : at + len(command)] == command for call in calls for at in range(len(call) - len(command) + 1)
        )
    ]
    assert missing == []
