"""Error messages as grouping compares them: without values, and in one wording for all browsers."""

import re
from collections.abc import Callable
from typing import Final

from ufse.grouping.routes import fold_route
from ufse.grouping.texts import ADDRESS, AMOUNT, DATE, EMAIL, LONGEST, TIME, UUID, is_opaque
from ufse.memo import memoize_texts
from ufse.patterns import clean_text

_PREFIX: Final = re.compile(
    r"(?:uncaught(?: exception:?)?|\(in promise\)|unhandled(?: promise)? rejection:?|unhandledrejection:?|\[?object error\]?"
    r"|(?:eval|range|reference|syntax|type|uri|internal|aggregate)?error:|domexception:|exception:)\s*",
    re.I,
)
_NAME: Final = r"[\w$.\[\]()\"'#<> -]{0,200}?"
_Wording = tuple[re.Pattern[str], str | Callable[["re.Match[str]"], str]]


def _last_name(text: str) -> str:
    """The last name of an expression such as ``this.user.id``; ``?`` for one that a minifier made."""
    name = re.split(r"[.\[]", text.strip().rstrip("()[]\"' "))[-1].strip("\"'] ")
    return name if len(name) > 2 or "." in text else "?"


def _read_of(match: "re.Match[str]") -> str:
    return f"property {match['name']} of {match['nil'].lower()}"


def _read_evaluated(match: "re.Match[str]") -> str:
    return f"property {_last_name(match['name'])} of {match['nil'].lower()}"


def _called(match: "re.Match[str]") -> str:
    return f"{_last_name(match['name'])} is not a function"


def _unknown(match: "re.Match[str]") -> str:
    name = match["name"]
    return f"variable {name if len(name) > 2 else '?'} is not defined"


def _minified(match: "re.Match[str]") -> str:
    return f"minified {match['name']} error {_spell(match['number'])}"


def _declare_wording(pattern: str, canonical: str | Callable[["re.Match[str]"], str]) -> _Wording:
    return re.compile(pattern, re.I), canonical


_WORDINGS: Final[tuple[_Wording, ...]] = (
    # V8; SpiderMonkey; JavaScriptCore. What a property is read from is left out: minifiers rename it.
    _declare_wording(
        r"cannot (?:read|set) propert(?:y|ies) of (?P<nil>undefined|null) \((?:reading|setting) ['\"](?P<name>[^'\"]*)['\"]\)",
        _read_of,
    ),
    _declare_wording(r"cannot (?:read|set) property ['\"](?P<name>[^'\"]*)['\"] of (?P<nil>undefined|null)", _read_of),
    _declare_wording(
        r"can't access property ['\"]?(?P<name>[^'\",]*)['\"]?, .{0,200}? is (?P<nil>undefined|null)", _read_of
    ),
    _declare_wording(
        r"(?P<nil>undefined|null) is not an object \(evaluating ['\"](?P<name>[^'\"]{0,200})['\"]?\)?", _read_evaluated
    ),
    _declare_wording(rf"(?P<name>{_NAME}) is not a (?:function|constructor)\b(?:\. \(in .*| \(near .*)?", _called),
    _declare_wording(r"can't find variable: (?P<name>[\w$]+)", _unknown),
    _declare_wording(r"(?P<name>[\w$]+) is not defined", _unknown),
    _declare_wording(
        r"cannot access ['\"]?(?P<name>[\w$]+)['\"]? before initialization|can't access lexical declaration .*",
        "used before its declaration",
    ),
    _declare_wording(r"minified (?P<name>\w+) error #(?P<number>\d+).*", _minified),
    _declare_wording(
        r"(?:failed to fetch|error loading) dynamically imported module.*|importing a module script failed.*",
        "module import failed",
    ),
    _declare_wording(
        r"(?:failed to fetch|networkerror when attempting to fetch resource|load failed|network request failed"
        r"|the network connection was lost|network ?error)\.?",
        "fetch failed",
    ),
    _declare_wording(r"loading css chunk \S+ failed.*", "css chunk failed"),
    _declare_wording(r"loading chunk \S+ failed.*", "chunk failed"),
    _declare_wording(r"unable to preload css for .*", "css chunk failed"),
    _declare_wording(
        r"unexpected end of json input.*|json\.parse: unexpected end of data.*|json parse error: unexpected eof.*",
        "json ended early",
    ),
    _declare_wording(
        r"unexpected (?:token|character|number|string|non-whitespace character)\b.* json\b.*|json(?:\.parse| parse error): .*",
        "json invalid",
    ),
    _declare_wording(r"maximum call stack size exceeded\.?.*|too much recursion.*|out of stack space.*", "recursion"),
    _declare_wording(
        r"converting circular structure to json.*|cyclic object value.*|json\.stringify cannot serialize cyclic structures.*",
        "circular json",
    ),
    _declare_wording(
        r"assignment to constant variable\.?.*|invalid assignment to const .*|attempted to assign to readonly property\.?.*",
        "assignment to a constant",
    ),
    _declare_wording(
        r"invalid array length.*|array size is not a small enough positive integer.*|array length must be a positive integer.*",
        "invalid array length",
    ),
    _declare_wording(r".*quota.{0,20}exceed.*|.*exceeded the quota.*", "quota exceeded"),
)
_EXECUTED: Final = re.compile(r"failed to execute '(?P<method>\w+)' on '(?P<interface>\w+)':\s*", re.I)
"""How Blink begins what Gecko begins with ``Node.removeChild:``; the rest is in the words of the standard."""
_SPECIFIED: Final = re.compile(r"failed to (?:execute|set|read|construct)\b|[A-Za-z]+\.[A-Za-z]+: ", re.I)
"""Messages of the DOM, whose quotations name interfaces and methods."""
_QUOTED: Final = re.compile(
    r"(?P<before>\b(?:field|property|column|key|parameter|param|argument|attribute|variable|method|function|option|prop|module|component"
    r"|element|selector|event|action|type|table|hook|command|header)\s)?"
    r"(?P<quoted>\"[^\"]{0,300}\"|“[^”]{0,300}”|„[^“”]{0,300}[“”]|«[^»]{0,300}»|‘[^’]{0,300}’|`[^`]{0,300}`|(?<!\w)'[^']{0,300}'(?!\w))",
    re.I,
)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][\w$.-]*")
_STATUS: Final = re.compile(
    r"(?:\b(?:http|https|status|status code|statuscode|code|errno)\b|\berror\s?#|\b(?:error|response)\b(?= \d{3}\b))"
    r"\s*[:=#]?\s*(?P<number>\d{2,4})\b",
    re.I,
)
"""Numbers that say what failed: statuses and codes of errors."""
_PATH: Final = re.compile(r"(?<![\w/])/[\w@:%.~+-]+(?:/[\w@:%.~+-]*)+(?:\?\S*)?")
_TOKEN: Final = re.compile(r"[\w$-]+(?:[.,:'’/]\w+)*%?")
_KEPT_WORD: Final = re.compile(r"[A-Za-z]{1,8}-?\d{1,3}[a-z]{0,3}", re.A)
_HASHED_FILE: Final = re.compile(r"[.\-_](?=[\w-]*\d)[\w-]{6,}(?=\.)|[.\-_](?=[a-z]*[A-Z])[A-Za-z]{8}(?=\.)")
_BUNDLES: Final = re.compile(
    r"(?:main|index|app|vendors?|bundle|chunk|runtime|common|polyfills?|commons|framework|\d+|_app)\b", re.I
)
_MARK: Final = "#"


@memoize_texts
def fold_message_text(message: str) -> str:
    """An error message as grouping compares it; '' for none. Folding it again changes nothing."""
    text = " ".join(clean_text(message[:LONGEST]).split())
    while found := _PREFIX.match(text):
        text = text[found.end() :]
    text = _EXECUTED.sub(lambda m: f"{m['interface']}.{m['method']}: ", text, count=1)
    for pattern, canonical in _WORDINGS:
        match = pattern.fullmatch(text)
        if match:
            text = canonical if isinstance(canonical, str) else canonical(match)
            return " ".join(text.casefold().split())
    return _fold_values(text)


def _fold_values(text: str) -> str:
    text = _STATUS.sub(lambda m: f"{m[0][: -len(m['number'])]}{_spell(m['number'])} ", text)
    text = _PATH.sub(lambda m: _fold_address(m[0]), ADDRESS.sub(lambda m: _fold_address(m[0]), text))
    if not _SPECIFIED.match(text):
        text = _QUOTED.sub(_fold_quotation, text)
    text = UUID.sub(_MARK, EMAIL.sub(_MARK, text))
    if any(c.isdigit() for c in text):
        text = AMOUNT.sub(_MARK, TIME.sub(_MARK, DATE.sub(_MARK, text)))
    words = [w for w in re.split(r"[^\w$#/.~-]+", _TOKEN.sub(lambda m: _fold_token(m[0]), text)) if w.strip(".-/")]
    words = [w.strip(".-").casefold() for w in words]
    kept = [w for n, w in enumerate(words) if w != _MARK or n == 0 or words[n - 1] != _MARK]
    return " ".join(kept) or " ".join(text.casefold().split())


def _spell(number: str) -> str:
    """Digits as letters, so that no later rule takes them for an id."""
    return "".join("abcdefghij"[int(c)] for c in number if c.isdigit() and c.isascii())


def _fold_address(address: str) -> str:
    path = "/" + address.split("//", 1)[1].partition("/")[2] if "//" in address else address
    path = path.partition("?")[0].partition("#")[0].rstrip(".,:;")
    folder, _, file = path.rpartition("/")
    folded = fold_route(f"{folder}/{_HASHED_FILE.sub('', file) if '.' in file else file}")
    return f" {folded.replace(':id', 'id').replace('/', ' ')} "


def _fold_quotation(match: "re.Match[str]") -> str:
    inner = match["quoted"][1:-1]
    named = match["before"] and _IDENTIFIER.fullmatch(inner) and not any(c.isdigit() for c in inner)
    return f"{match['before'] or ''}{inner if named else _MARK}"


def _fold_token(token: str) -> str:
    """``#`` for a number or a word that a machine made; units such as ``ms`` stay."""
    if not any(c.isdigit() for c in token):
        return _MARK if is_opaque(token) else token
    if _KEPT_WORD.fullmatch(token) and not is_opaque(token):
        return token
    tail = re.fullmatch(r"[\d.,:'’]+(?P<unit>[A-Za-z]{0,3}|%)", token)
    return f"{_MARK} {tail['unit']}".rstrip() if tail and tail["unit"] else _MARK


_POSITION: Final = re.compile(r"(?::\d+){1,2}\)?$")


@memoize_texts
def fold_script(frame: str) -> str:
    """The script of a stack's first frame without address, build and position; '' for a bundle of everything."""
    path = _POSITION.sub("", frame[:LONGEST].strip().rstrip(")")).partition("?")[0].partition("#")[0]
    file = re.split(r"[/\\@( ]", path)[-1]
    name = _HASHED_FILE.sub("", clean_text(file)).rpartition(".")[0].casefold()
    return "" if not name or _BUNDLES.match(name) or is_opaque(name) or any(c.isdigit() for c in name) else name[:80]


def group_error(kind: str, message: str, frame: str) -> str:
    """What an error is, for the fingerprint. ``kind``: the contract's ``errorType``; ``frame``: of its stack."""
    family = kind if kind in ("validation", "resource") else "error"
    text = fold_message_text(message)
    return f"{family}: {text or fold_script(frame)}"
