"""Templates for the title and the text of tickets: Jinja, without anything that could run long or reach out.

A template has expressions, conditions, loops and some filters. It has no calls, assignments, macros or includes, so it ends.
All its values become opaque marks (`trackers.light_markup`), so that no text from a browser is read as markup, whatever the
template does with it. Variables: docs/tickets.md.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from jinja2 import StrictUndefined, TemplateError, meta, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from incidents.incident import IncidentDetail
from trackers.document import Document, render_markdown, to_plain_line
from trackers.light_markup import CLOSE, OPEN, Value, read_document, read_plain, write_mark
from trackers.ticket import TITLE_LENGTH, Ticket
from trackers.ticket_variables import VARIABLES, Blocks, describe_ticket

LONGEST_S: Final = 1.0
"""A template that renders longer than this is given up."""
MOST_STEPS: Final = 10_000
"""Most rounds of all loops of a template together."""
MAX_OUTPUT: Final = 30_000
"""Most characters of a result: below what Jira takes of a text."""
_MAX_TEXT: Final = 20_000
_NODES: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Name, nodes.Const, nodes.Getattr,
    nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Keyword, nodes.Test, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not,
    nodes.Compare, nodes.Operand, nodes.Concat, nodes.Add, nodes.Sub, nodes.Div, nodes.FloorDiv, nodes.Neg, nodes.Pos,
    nodes.Tuple, nodes.List,
)  # fmt: skip
_STEPS: Final = "steps_of_a_loop"
_TESTS: Final = (
    "defined",
    "undefined",
    "none",
    "string",
    "number",
    "odd",
    "even",
    "in",
    "eq",
    "ne",
    "gt",
    "ge",
    "lt",
    "le",
)


class WrongTemplate(Exception):
    """The template cannot be read or rendered; its words say why."""


def render_title(source: str, ticket: Ticket, incident: IncidentDetail) -> str:
    """The title of a ticket: one line of at most `TITLE_LENGTH` characters. Raises WrongTemplate."""
    text, values = _render(source, describe_ticket(ticket, incident))
    title = to_plain_line(read_plain(text, values), TITLE_LENGTH)
    if not title:
        raise WrongTemplate("it makes an empty title")
    return title


def render_body(source: str, ticket: Ticket, incident: IncidentDetail) -> Document:
    """The text of a ticket. Raises WrongTemplate."""
    text, values = _render(source, describe_ticket(ticket, incident))
    own = frozenset([ticket.url] if ticket.url else [])
    try:
        document = read_document(text, values, own)
    except ValueError as error:
        raise WrongTemplate(str(error)) from None
    if not document:
        raise WrongTemplate("it makes an empty text")
    return document


def check_template(source: str) -> None:
    """Raise WrongTemplate when the template cannot be read, or names a filter or a variable that there is not."""
    environment = _Rendering().environment
    tree = _parse(environment, source)
    try:
        unknown = sorted(meta.find_undeclared_variables(tree) - set(VARIABLES))
        environment.from_string(tree)
    except (TemplateError, RecursionError, SyntaxError) as error:
        raise WrongTemplate(to_plain_line(f"{type(error).__name__}: {error}", 300)) from None
    if unknown:
        raise WrongTemplate(f"there is no variable {unknown[0]!r}; there are {', '.join(VARIABLES)}")


def _render(source: str, variables: Mapping[str, object]) -> tuple[str, list[Value]]:
    """The text with marks, and the values that they stand for."""
    rendering = _Rendering()
    tree = _parse(rendering.environment, source)
    text = ""
    try:
        for piece in rendering.environment.from_string(tree).generate(variables):
            text += piece
            rendering.check_limits(len(text))
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError, SyntaxError) as error:
        raise WrongTemplate(to_plain_line(f"{type(error).__name__}: {error}", 300)) from None
    return text, rendering.values


def _parse(environment: ImmutableSandboxedEnvironment, source: str) -> nodes.Template:
    if OPEN in source or CLOSE in source:
        raise WrongTemplate("it holds characters for private use")
    try:
        tree = environment.parse(source)
    except (TemplateError, RecursionError) as error:
        raise WrongTemplate(to_plain_line(f"{type(error).__name__}: {error}", 300)) from None
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _NODES):
            raise WrongTemplate(f"line {node.lineno}: {type(node).__name__} is not allowed in a template of tickets")
        if isinstance(node, nodes.For):
            if node.recursive:
                raise WrongTemplate(f"line {node.lineno}: a recursive loop is not allowed in a template of tickets")
            node.iter = nodes.Filter(node.iter, _STEPS, [], [], None, None, lineno=node.lineno)
    return tree


class _Rendering:
    """One rendering: its environment, the values that it shows, and its limits."""

    def __init__(self) -> None:
        self.values: list[Value] = []
        self._steps = 0
        self._shown = 0
        self._end = time.monotonic() + LONGEST_S
        self.environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined,
            finalize=self._make_finalize(),
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=0,
        )
        self.environment.globals.clear()
        known = self.environment.filters
        self.environment.filters = {name: known[name] for name in FILTERS} | {
            "join": _join,
            _STEPS: self._count_steps,
        }
        self.environment.tests = {name: self.environment.tests[name] for name in _TESTS}

    def check_limits(self, length: int = 0) -> None:
        """Raise WrongTemplate when the template ran too long or made too much."""
        if time.monotonic() > self._end:
            raise WrongTemplate(f"it took longer than {LONGEST_S:g} s")
        if length + self._shown > MAX_OUTPUT:
            raise WrongTemplate(f"it makes more than {MAX_OUTPUT:,} characters")

    def _count_steps(self, items: object) -> Iterator[object]:
        if not isinstance(items, (list, tuple)):
            raise WrongTemplate("a loop needs a list")
        for item in items:
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise WrongTemplate(f"its loops have more than {MOST_STEPS:,} rounds")
            self.check_limits()
            yield item

    def _make_finalize(self) -> Callable[[Context, object], str]:
        # With a context, Jinja never calls it for constants while it compiles.
        @pass_context
        def finalize(_: Context, value: object) -> str:
            return self._mark_value(value)

        return finalize

    def _mark_value(self, value: object) -> str:
        """The mark that stands for a value in the text."""
        if isinstance(value, StrictUndefined):
            str(value)  # raises, with the name of what is not there
        shown: Value
        if isinstance(value, Blocks):
            shown = value.document
            self._shown += len(render_markdown(shown))
        elif value is None:
            shown = ""
        elif isinstance(value, (str, int, float)):
            shown = str(value)
            self._shown += len(shown)
        else:
            raise WrongTemplate(f"a {type(value).__name__} cannot be shown; use a loop or join")
        self.check_limits()
        self.values.append(shown)
        return write_mark(len(self.values) - 1)


# Filters: a list of those whose result is about as long as their input.
# ---------------------------------------------------------------------------------------------------------------------

FILTERS: Final = (
    "upper", "lower", "capitalize", "title", "trim", "truncate", "length", "first", "last", "default", "round", "int", "abs",
    "sort",
)  # fmt: skip
"""The filters of Jinja that templates may use, beside ``join``."""


def _join(values: object, separator: str = "") -> str:
    """The texts of a list, joined."""
    if not isinstance(values, (list, tuple)):
        raise WrongTemplate("join needs a list")
    texts = [str(value) for value in values]
    separator = str(separator)
    if sum(map(len, texts)) + len(separator) * len(texts) > _MAX_TEXT:
        raise WrongTemplate("join makes too long a text")
    return separator.join(texts)
