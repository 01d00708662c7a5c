"""Replaces secrets in texts by marks."""

import base64
import ipaddress
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from collector.privacy import patterns as p
from collector.privacy.numbers import mask_card_runs, mask_digits, mask_ibans
from collector.privacy.plain import split_vocabulary, to_plain_text
from collector.privacy.segments import holds_opaque_run, mask_segments


class Kind(NamedTuple):
    """The kind of a text: the form of its marks, and what is masked in it."""

    form: str
    is_path: bool = False
    numbers: bool = True
    """Mask long runs of digits; not in names and ids, so that different targets stay different."""
    versions: bool = False
    """Treat four numbers with dots as a version, not as an address."""
    tokens: bool = True
    """Mask long opaque strings as tokens; not in ids, which are opaque themselves."""

    def format_mark(self, name: str) -> str:
        """The mark for a secret called ``name``."""
        return self.form.format(name)


TEXT: Final = Kind("[{}]")
PATH: Final = Kind(":{}", is_path=True)
SOURCE: Final = Kind("[{}]")
NAME: Final = Kind("[{}]", numbers=False)
VERSION: Final = Kind("[{}]", numbers=False, versions=True)
ID: Final = Kind("[{}]", numbers=False, tokens=False)

_CALM = re.compile(r"[A-Za-z ,.!?'/_\-]*")
_WORDS_OF_SECRETS = (
    *("pass", "pwd", "secret", "token", "key", "auth", "cred", "sess", "cookie", "sig", "csrf", "xsrf", "pin", "otp"),
    *("cvv", "cvc", "sid", "jwt", "tan", "mot", "contrase", "nonce", "ssn", "code"),
)
_SCHEMES = ("bearer", "basic", "digest")
_PROSE = split_vocabulary("""
    a an and or the is are was be been must may might can cannot can't could should shall will would not no yes
    at in of for to do does did has have had need needs required missing invalid incorrect wrong expired
    mismatch unknown too field fields please expected unexpected undefined null none true false minimum maximum
    min max contains empty weak strong length string number reset changed change saved updated failed failure
    error errors ok okay success successful authentication authorization credentials scheme realm tokens token
    header headers plan auth access denied refused features password passwords login user username email enter
    confirm new old forgot show hide validation validated valid unauthorized unavailable disabled enabled object
    function array boolean integer nan bearer basic digest and/or
""")
_UNGUARDED = re.compile(r"\d|[^\x00-\x7f]|[a-z][A-Z]|.{16}|[!$^*~+=\\|]")


_PLAIN_NAME = re.compile(r"[A-Za-z0-9_\-]+")
_NINE_DIGITS = re.compile(r"\d[\d_\-]{8}", re.ASCII)
"""No card, phone or social security number in a plain name has fewer digits, or a letter between them."""
_MAC_LENGTH = 17


def mask_secrets(text: str, kind: Kind) -> str:
    """Mask the secrets in ``text``, searched in its decoded form; a text without secrets is returned unchanged."""
    if text.isascii() and _CALM.fullmatch(text) and not _may_hold_secret_words(text, kind):
        return text
    if not kind.numbers and _PLAIN_NAME.fullmatch(text) and not _may_plain_name_hold_secret(text, kind):
        return text
    plain = to_plain_text(text)
    found = _apply_patterns(plain, kind)
    if plain == text or found == plain:
        return text if found == plain else found
    raw = _apply_patterns(text, kind)
    return raw if to_plain_text(raw) == found else found


def _may_hold_secret_words(text: str, kind: Kind) -> bool:
    return "/" in text or len(text) >= 20 or "AKIA" in text or any(word in text.lower() for word in _SCHEMES)


def _may_plain_name_hold_secret(text: str, kind: Kind) -> bool:
    """Whether a pattern may find something in a name of letters, digits, ``-`` and ``_``.

    The ids of events are such names, and each is new. Without spaces, colons, dots and brackets only these patterns can match;
    a token begins where the name does.
    """
    return (
        (len(text) >= 24 and kind.tokens and p.UUID.fullmatch(text) is None)
        or (len(text) == _MAC_LENGTH and text[2] == "-")
        or _NINE_DIGITS.search(text) is not None
        or p.TOKEN.match(text) is not None
        or p.IBAN.search(text) is not None
    )


def _apply_patterns(text: str, kind: Kind) -> str:
    lower = text.lower()
    if "-----begin" in lower:
        text = p.PEM.sub(kind.format_mark("secret"), text)
    if "//" in text and "@" in text:
        text = p.CREDENTIALS.sub("//", text)
    if not kind.is_path and ("?" in text or "#" in text) and kind.numbers:
        text = p.QUERY_IN_TEXT.sub(_drop_url_query, text)
    text = p.TOKEN.sub(kind.format_mark("token"), text)
    if any(scheme in lower for scheme in _SCHEMES):
        text = p.SCHEME.sub(lambda match: _mask_auth_scheme(match, kind), text)
    if any(word in lower for word in _WORDS_OF_SECRETS):
        text = _mask_named_secrets(text, kind)
    if "-" in lower and " " in lower:
        text = p.OPTION.sub(lambda match: match["name"] + kind.format_mark("secret"), text)
    if "value" in lower:
        text = p.VALUE_IN_MARKUP.sub(f'value="{kind.format_mark("value")}"', p.ATTRIBUTE.sub(r"[\g<name>]", text))
    if "@" in text or "%40" in text or p.OBSCURED_AT.search(text):
        text = p.EMAIL.sub(kind.format_mark("email"), text)
    text = _mask_opaque_tokens(text, kind)
    if any(map(text.__contains__, "0123456789")) or "::" in text:
        text = p.NUMBERS.sub(
            lambda match: _mask_number_match(match, kind),
            mask_ibans(text, kind.format_mark("iban"), is_id=not kind.tokens),
        )
    return text


def _drop_url_query(match: re.Match[str]) -> str:
    return match[1] if "/" in match[1] else match[0]


def _mask_auth_scheme(match: re.Match[str], kind: Kind) -> str:
    if match["basic"] is not None and not _is_basic_credentials(match["basic"]):
        return match[0]
    if match["bearer"] is not None and match["bearer"].lower().strip(".") in _PROSE:
        return match[0]
    return kind.format_mark("token")


def _is_basic_credentials(value: str) -> bool:
    """Whether ``value`` is credentials of HTTP's Basic scheme: base64 of a name, a colon and a password."""
    core = value.rstrip("=")
    try:
        return b":" in base64.b64decode(
            core.replace("-", "+").replace("_", "/") + "=" * (-len(core) % 4), validate=True
        )
    except ValueError:
        return False


def _mask_named_secrets(text: str, kind: Kind) -> str:
    mark = kind.format_mark("secret")
    if "ookie" in text or "OOKIE" in text:
        text = p.COOKIES.sub(lambda match: match["name"] + mark, text)
    pattern = p.NAMED_IN_PATH if kind.is_path else p.NAMED

    def replace_named_value(match: re.Match[str]) -> str:
        value = match["value"]
        if _is_privacy_mark(value) or not _is_secret_value(match, value, kind):
            return match[0]
        name = (match["strong"] or match["weak"]) + match["suffix"]
        if value[0] in "\"'" and len(value) > 1:
            mark_quoted = f"{value[0]}{mark}{value[-1] if value[-1] == value[0] else ''}"
            return name + match["middle"] + mark_quoted
        return name + match["middle"] + mark

    return pattern.sub(replace_named_value, text)


def _is_privacy_mark(value: str) -> bool:
    bare = value.strip("\"'\\")
    return bare[:1] in (":", "[") and bare[1:].rstrip("].,;") in _MARKS


_MARKS = split_vocabulary("""
    email id number card token secret phone iban ip mac ssn value encoded
""")


def _is_secret_value(match: re.Match[str], value: str, kind: Kind) -> bool:
    bare = value.strip("\"'\\ ")
    if not bare:
        return False
    if "=" in match["middle"] or bare != value:  # an assignment, or a quoted value
        return bare != "undefined"
    # `#password:nth-child(2)` and `#password:focus` are selectors
    if not match["middle"][-1].isspace() and ("(" in bare or not (kind.numbers or re.search(r"\d", bare))):
        return False
    word = bare.lower().rstrip(".!?:")
    if match["middle"].strip().isalpha():  # "password is …"
        return word not in _PROSE and bool(re.search(r"\d", bare))
    if word in _PROSE or word.partition(" ")[0] in _PROSE:
        return " " in word and word.partition(" ")[0] in ("basic", "bearer", "digest", "token")
    return bool(match["strong"] or _UNGUARDED.search(bare))


def _mask_opaque_tokens(text: str, kind: Kind) -> str:
    if kind.is_path:
        return mask_segments(text, kind.format_mark, rooted=True)
    if "/" in text:
        text = p.CHUNK.sub(lambda match: _mask_path_chunk(match, kind), text)
    if len(text) < 24 or not kind.tokens:
        return text
    return p.OPAQUE.sub(lambda match: kind.format_mark("token") if holds_opaque_run(match[0], 24) else match[0], text)


def _mask_path_chunk(match: re.Match[str], kind: Kind) -> str:
    text = match[0]
    rooted = text[0] == "/" or "//" in text
    return mask_segments(text, kind.format_mark, rooted=rooted and not kind.versions, opaque=kind.tokens)


def _mask_number_match(match: re.Match[str], kind: Kind) -> str:
    found, group = match[0], match.lastgroup or ""
    replace = _BY_GROUP.get(group)
    return found if replace is None else replace(match, found, kind)


def _mask_hex_number(_: re.Match[str], found: str, kind: Kind) -> str:
    # A hash or an object id: runs of digits in it are not numbers, except cards.
    return mask_card_runs(found, kind.format_mark("card")) if kind.tokens else found


def _mask_mac_address(_: re.Match[str], __: str, kind: Kind) -> str:
    return kind.format_mark("mac")


def _mask_ip_address(match: re.Match[str], found: str, kind: Kind) -> str:
    core = found.rstrip(".:") if "::" not in found[-2:] else found
    try:
        address = ipaddress.ip_address(core)
    except ValueError:
        return _mask_digit_run(match, found, kind)
    if address.is_loopback or address.is_unspecified or (address.version == 6 and not any(c.isdigit() for c in core)):
        return found
    if address.version == 4 and (
        kind.versions or p.VERSION_BEFORE.search(match.string, max(0, match.start() - 16), match.start())
    ):
        return found
    return kind.format_mark("ip") + found[len(core) :]


def _mask_phone_number(match: re.Match[str], found: str, kind: Kind) -> str:
    is_run = found.isdigit() and not kind.numbers
    if is_run or p.DATE_FIRST.match(found) or p.DECIMAL.match(found) or _has_id_before(match):
        return _mask_digit_run(match, found, kind)
    return kind.format_mark("phone")


def _mask_social_security(match: re.Match[str], found: str, kind: Kind) -> str:
    return found if _has_id_before(match) else kind.format_mark("ssn")


def _mask_digit_run(match: re.Match[str], found: str, kind: Kind) -> str:
    number = kind.format_mark("id" if kind.is_path else "number") if kind.numbers else ""
    return mask_digits(found, kind.format_mark("card"), number, is_id=not kind.tokens, named=_has_id_before(match))


def _has_id_before(match: re.Match[str]) -> bool:
    return p.ID_BEFORE.search(match.string, max(0, match.start() - 40), match.start()) is not None


_BY_GROUP: Final[dict[str, Callable[[re.Match[str], str, Kind], str]]] = {
    "hex": _mask_hex_number,
    "mac": _mask_mac_address,
    "ip4": _mask_ip_address,
    "ip6": _mask_ip_address,
    "phone": _mask_phone_number,
    "ssn": _mask_social_security,
    "digits": _mask_digit_run,
}
