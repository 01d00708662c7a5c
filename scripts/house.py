"""Measures how readable the code is for strangers: ``python -m scripts.house`` (part of ``make lint``).

It reads every module of the packages with ``ast`` and fails where a figure passes its limit. ``--list`` shows what counts
against a figure. The limits come from a review that compared the code with httpx, dlt, datasette and Prefect's runner
(docs/decisions/0016-limits-of-the-house.md).
"""

import argparse
import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = (
    "furrow", "flows", "lander", "tasks", "blocks", "collector", "stores", "trackers", "incidents", "core", "ufse", "scripts",
)  # fmt: skip
MODULE_LINES: Final = 450
FUNCTION_LINES: Final = 40
"""Code lines of one function: without docstring, comments and blank lines."""
ONE_WORD_SHARE: Final = 0.35
"""Of all function names, the share that may be one word (no underscore)."""
MEAN_LETTERS: Final = 10.0
"""Mean letters of a function name, underscores not counted."""
HELPER_MODULES: Final = 3
"""Modules that may define a private function of the same name."""
UNTYPED_SHARE: Final = 0.03
"""Of all function signatures, the share that may hold ``dict[str, Any]`` or an alias of it."""
DIALECT: Final = frozenset(
    {
        "told",
        "tell",
        "tells",
        "telling",
        "said",
        "given",
        "mine",
        "deed",
        "deeds",
        "wish",
        "wishes",
        "farewell",
        "seam",
        "care",
    }
)
"""Words that no name holds: they are riddles to a reader whose first language is not English."""
THING: Final = frozenset({"one", "ones"})
"""Words that no name ends with: they do not say what the thing is. ``one_at_a_time`` is a number and passes."""

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass
class Figures:
    """What was counted over all modules."""

    functions: list[tuple[str, str]] = field(default_factory=list)
    """Module and name of every function, methods included, dunder methods not."""
    helpers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Private function name → modules that define it."""
    dialect: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Module and name → uses, of names that hold a word of the dialect."""
    untyped: list[tuple[str, str]] = field(default_factory=list)
    long_functions: list[tuple[str, int]] = field(default_factory=list)
    long_modules: list[tuple[str, int]] = field(default_factory=list)

    @property
    def one_word_share(self) -> float:
        return sum("_" not in name.strip("_") for _, name in self.functions) / max(len(self.functions), 1)

    @property
    def mean_letters(self) -> float:
        return sum(len(name.replace("_", "")) for _, name in self.functions) / max(len(self.functions), 1)

    @property
    def untyped_share(self) -> float:
        return len(self.untyped) / max(len(self.functions), 1)

    @property
    def crowded_helpers(self) -> dict[str, set[str]]:
        return {name: where for name, where in self.helpers.items() if len(where) > HELPER_MODULES}


def measure_code(root: Path = ROOT) -> Figures:
    """The figures of every module below ``root``. Raises SyntaxError for a module that does not parse."""
    figures = Figures()
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _find_modules(root)}
    aliases = {name for tree in trees.values() for name in _find_untyped_aliases(tree)}
    for path, tree in trees.items():
        module = path.relative_to(root).as_posix()
        source = path.read_text(encoding="utf-8").splitlines()
        if len(source) > MODULE_LINES:
            figures.long_modules.append((module, len(source)))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                _measure_function(figures, module, node, source, aliases)
        for name in _find_defined_names(tree):
            words = _CAMEL.sub("_", name).lower().strip("_").split("_")
            if DIALECT & set(words) or words[-1] in THING:
                figures.dialect[module, name] += 1
    return figures


def _measure_function(
    figures: Figures, module: str, node: ast.FunctionDef | ast.AsyncFunctionDef, source: list[str], aliases: set[str]
) -> None:
    if node.name.startswith("__"):
        return
    figures.functions.append((module, node.name))
    if node.name.startswith("_"):
        figures.helpers[node.name].add(module)
    if _is_untyped(node, aliases):
        figures.untyped.append((module, node.name))
    if (lines := _count_code_lines(node, source)) > FUNCTION_LINES:
        figures.long_functions.append((f"{module}:{node.name}", lines))


def _find_modules(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((root / package).rglob("*.py"))


def _count_code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, source: list[str]) -> int:
    body = node.body[1:] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body
    lines = source[body[0].lineno - 1 : node.end_lineno]
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)


def _is_untyped(node: ast.FunctionDef | ast.AsyncFunctionDef, aliases: set[str]) -> bool:
    spread = [argument for argument in (node.args.vararg, node.args.kwarg) if argument is not None]
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, *spread]
    annotations = [ast.unparse(a) for a in [*(a.annotation for a in arguments), node.returns] if a is not None]
    return any("dict[str, Any]" in text or aliases & _split_words(text) for text in annotations)


def _find_untyped_aliases(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and ast.unparse(node.value) == "dict[str, Any]":
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _split_words(annotation: str) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in annotation).split())


def _find_defined_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def find_violations(figures: Figures) -> list[str]:
    """A line for each figure that passes its limit; none: the house is in order."""
    found = [f"{where}: {lines} lines, limit {MODULE_LINES}" for where, lines in figures.long_modules]
    found += [f"{where}: {lines} code lines, limit {FUNCTION_LINES}" for where, lines in figures.long_functions]
    if figures.one_word_share > ONE_WORD_SHARE:
        found.append(
            f"one-word function names: {figures.one_word_share:.1%}, limit {ONE_WORD_SHARE:.0%}; "
            "`python -m scripts.house --list one-word` shows them"
        )
    if figures.functions and figures.mean_letters < MEAN_LETTERS:
        found.append(f"mean letters of a function name: {figures.mean_letters:.1f}, at least {MEAN_LETTERS}")
    if figures.untyped_share > UNTYPED_SHARE:
        found.append(
            f"signatures with dict[str, Any]: {figures.untyped_share:.1%}, limit {UNTYPED_SHARE:.0%}; "
            "`python -m scripts.house --list untyped` shows them"
        )
    found += [
        f"{name}: a private function of this name in {len(where)} modules, limit {HELPER_MODULES} "
        f"({', '.join(sorted(where))}); share one function, or choose a name that says more"
        for name, where in sorted(figures.crowded_helpers.items())
    ]
    found += [
        f"{module}: the name {name!r} holds a word that says too little to a reader (DIALECT and THING in scripts/house.py)"
        for module, name in sorted(figures.dialect)
    ]
    return found


def main() -> int:
    """The command; 1 when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", choices=("untyped", "one-word", "dialect"), help="show what counts against a figure")
    chosen = parser.parse_args()
    figures = measure_code()
    if chosen.list == "untyped":
        print(*(f"{module}: {name}" for module, name in figures.untyped), sep="\n")
    elif chosen.list == "one-word":
        print(*(f"{module}: {name}" for module, name in figures.functions if "_" not in name.strip("_")), sep="\n")
    elif chosen.list == "dialect":
        print(*(f"{module}: {name}" for module, name in sorted(figures.dialect)), sep="\n")
    violations = find_violations(figures)
    print(
        f"{len(figures.functions)} functions, {figures.one_word_share:.1%} with one word, {figures.mean_letters:.1f} letters; "
        f"{figures.untyped_share:.1%} of signatures untyped"
    )
    print(*violations, sep="\n")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
