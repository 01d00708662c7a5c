"""Templates of tickets: what they can say, what they cannot do, and text of browsers that stays text."""

import time
from typing import Any

import pytest
from hypothesis import assume, given, settings

from tests.unit.trackers.incidents import incident
from tests.unit.trackers.test_document import check, hostile, parsed
from trackers.document import render_adf, render_markdown, to_plain_line
from trackers.template import MOST_STEPS, WrongTemplate, check_template, render_body, render_title
from trackers.ticket import TITLE_LENGTH, build_ticket
from trackers.ticket_variables import VARIABLES, describe_ticket

PUBLIC = "https://furrow.example"


def title(source: str, **changes: Any) -> str:
    shown: Any = incident(**changes)
    return render_title(source, build_ticket(shown, PUBLIC), shown)


def body(source: str, **changes: Any) -> str:
    shown: Any = incident(**changes)
    return render_markdown(render_body(source, build_ticket(shown, PUBLIC), shown))


def test_a_title_of_ones_own() -> None:
    assert title("[{{ severity|upper }}] {{ failure }} on “{{ label }}”: {{ sessions }}") == (
        "[HIGH] POST /api/orders → 500 on “Pay now”: 37"
    )


def test_a_long_title_is_cut() -> None:
    assert len(title("{{ title }} " * 10)) == TITLE_LENGTH


def test_headings_lists_code_links_and_sections() -> None:
    text = body("""
# {{ failure }}
{% if reached is none %}Nobody counted{% else %}{{ share }} %{% endif %}
 the **step** at `{{ route }}`.
See [the page]({{ page }}) or [the logs](https://logs.example/q?{{ failure }}).

{% for version in versions %}
1. {{ version.name }}: {{ version.sessions }}
{% endfor %}
{{ reproduction }}
```
{{ failure }}
```
""")
    assert (
        text
        == """\
## POST /api/orders → 500

Nobody counted the \\*\\*step\\*\\* at `/checkout`. See \
[the page](<https://furrow.example/incidents/inc_0123456789abcdef0123456789abcdef>) or \
[the logs](<https://logs.example/q?POST%20%2Fapi%2Forders%20%E2%86%92%20500>).

1. 2\\.4.1: 37

## How to reproduce

1. opened the page on `/checkout` (at 0.0 s)
2. clicked button#pay "Pay now" on `/checkout`, 3 times (at 1.4–2.3 s)
3. POST /api/orders → 500 on `/checkout` (at 2.6 s)

```
POST /api/orders → 500
```
"""
    )


def test_every_variable_is_documented_and_has_a_value() -> None:
    shown: Any = incident()
    assert set(describe_ticket(build_ticket(shown, PUBLIC), shown)) == set(VARIABLES)


def test_the_whole_built_in_text_is_a_variable() -> None:
    shown: Any = incident()
    ticket = build_ticket(shown, PUBLIC)
    assert render_body("{{ text }}", ticket, shown) == ticket.body
    parts = "\n".join(
        f"{{{{ {name} }}}}" for name, what in VARIABLES.items() if what.startswith("section: ") and name != "text"
    )
    assert render_body(parts, ticket, shown) == ticket.body[:-1]


# What a template cannot do
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ ''.__class__ }}", "'__class__' of 'str' object is unsafe"),
        ("{{ ''['__class__'] }}", "'__class__' of 'str' object is unsafe"),
        ("{{ title|attr('__class__') }}", "No filter named 'attr'"),
        ("{{ title|safe }}", "No filter named 'safe'"),
        ("{{ title|forceescape }}", "No filter named 'forceescape'"),
        ("{{ title|replace('a', 'aaaa') }}", "No filter named 'replace'"),
        ("{{ title.format(title) }}", "Call is not allowed"),
        ("{{ cycler('a') }}", "Call is not allowed"),
        ("{{ title.upper }}", "cannot be shown"),
        ("{{ self }}", "cannot be shown"),
        ("{{ signals }}", "a list cannot be shown"),
        ("{{ nope }}", "'nope' is undefined"),
        ("{{ signals[0].nope }}", "has no attribute 'nope'"),
        ("{{ 9 ** 9999999 }}", "Pow is not allowed"),
        ("{{ 'a' * 999999999 }}", "Mul is not allowed"),
        ("{{ '%999999999d' % 1 }}", "Mod is not allowed"),
        ("{% set x = title %}", "Assign is not allowed"),
        ("{% set x %}**{% endset %}", "AssignBlock is not allowed"),
        ("{% macro f() %}{% endmacro %}", "Macro is not allowed"),
        ("{% include '/etc/passwd' %}", "Include is not allowed"),
        ("{% import 'os' as os %}", "Import is not allowed"),
        ("{% filter upper %}x{% endfilter %}", "FilterBlock is not allowed"),
        ("{% for a in signals recursive %}{% endfor %}", "a recursive loop is not allowed"),
        ("{% for a in title %}{% endfor %}", "a loop needs a list"),
        ("{{ title|join(title) }}", "join needs a list"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ " + "(" * 500 + "1" + ")" * 500 + " }}", "RecursionError"),
        ("{% for a in signals %}" * 30 + "{% endfor %}" * 30, "SyntaxError"),
        ("{% if", "TemplateSyntaxError"),
        ("\ue0000\ue001", "characters for private use"),
        ("  ", "empty title"),
    ],
)  # fmt: skip
def test_what_is_refused(source: str, words: str) -> None:
    with pytest.raises(WrongTemplate) as wrong:
        title(source)
    assert words in str(wrong.value)


@pytest.mark.parametrize("inner", ["", "x", "{{ a.name }}"])
def test_loops_end(inner: str) -> None:
    """Six loops in each other over 50 values would have 10^10 rounds."""
    signals = {f"signal {number}": 1 for number in range(50)}
    source = "{% for a in signals %}" * 6 + inner + "{% endfor %}" * 6
    start = time.monotonic()
    with pytest.raises(WrongTemplate, match=f"its loops have more than {MOST_STEPS:,} rounds|makes more than"):
        body(source, signals=signals)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("source", ["{{ explanation }}" * 900, "{{ text }}\n" * 1_000])
def test_the_output_has_a_limit(source: str) -> None:
    with pytest.raises(WrongTemplate, match="it makes more than 30,000 characters"):
        body(source, examples=[incident()["examples"][0] | {"explanation": "x" * 600}])


def test_the_check_names_what_there_is_not() -> None:
    check_template("{% if share %}{{ share|round(1) }}{% endif %}")
    with pytest.raises(WrongTemplate, match="there is no variable 'nope'; there are title, incident"):
        check_template("{% if false %}{{ nope }}{% endif %}")


# Text of browsers stays text
# ---------------------------------------------------------------------------------------------------------------------

EVERYWHERE = """
# {{ label }}
{{ label }} and {{ failure|upper }}{{ label ~ failure }}
- {{ label }}
- `{{ failure }}`
- [{{ label }}](https://logs.example/q?{{ failure }})
1. {{ label }}
{{ label }}

{% for step in steps %}{{ step }}
{% endfor %}
```
{{ failure }}
```
"""


@settings(deadline=None)
@given(hostile)
def test_no_value_becomes_markup(text: str) -> None:
    """The same template with harmless values makes the same blocks, code and links."""
    assume(to_plain_line(text))
    shown: Any = incident(label=text, failurePoint={"route": text, "target": text, "feedback": text})
    calm: Any = incident()
    document, expected = (render_body(EVERYWHERE, build_ticket(one, PUBLIC), one) for one in (shown, calm))
    assert shape(render_markdown(document)) == shape(render_markdown(expected))
    unlinked = EVERYWHERE.replace("- [{{ label }}](https://logs.example/q?{{ failure }})\n", "")
    check(render_adf(render_body(unlinked, build_ticket(shown, PUBLIC), shown)))


def shape(markdown: str) -> list[tuple[str, set[str]]]:
    """Kinds of blocks, and what is in each beside text."""
    return [(kind, {name.partition("?")[0] for name, _ in inlines} - {"text"}) for kind, inlines in parsed(markdown)]


@pytest.mark.parametrize(
    "address",
    [
        "{{ label }}",
        "https://{{ label }}/x",
        "https://x{{ label }}",
        "javascript:alert",
        "//evil.example",
        "{{ title }}",
    ],
)
def test_a_value_cannot_be_the_address_of_a_link(address: str) -> None:
    with pytest.raises(WrongTemplate, match="not an address"):
        body(f"[x]({address})", label="https://evil.example/")


def test_a_mark_in_a_value_stands_for_nothing() -> None:
    point = {"route": "/", "target": "", "feedback": "once"}
    text = body("{{ label }} {{ failure }}", label="\ue0001\ue001", failurePoint=point)
    assert text.count("once") == 1
    assert "\ue000" not in text
