"""The patterns of personal data and secrets. The time of each is linear in its input, which strangers choose.

To be linear, a look-behind lets a match begin only at the start of a run, runs are possessive, and alternatives that are tried
at every place have a bounded length. ``tests/attacks/test_masking_work.py`` measures each pattern with growing hostile texts.
"""

import re
from typing import Final

PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{1,40}-----.*?(?:-----END [A-Z0-9 ]{1,40}-----|\Z)", re.S)
CREDENTIALS: Final = re.compile(r"//(?:[^\s/@]*+@)++")
QUERY_IN_TEXT: Final = re.compile(r"""(?<![^\s"'<>()?\#])([^\s"'<>()?\#]++)[?\#][^\s"'<>)]++""")
SESSION_IN_PATH: Final = re.compile(
    r"(?i);(?=[^/;=]{0,40}(?:sess|sid|token|auth|key|secret|passw|pwd|code|jwt|sig|ticket|otp))[^/;]*+"
)
CHUNK: Final = re.compile(r"""(?<![^\s"'<>()\[\]{},/])[^\s"'<>()\[\]{},/]*+(?:/[^\s"'<>()\[\]{},/]*+)++""")
ATTRIBUTE: Final = re.compile(
    r"""(?i)\[(?P<name>value|data-value)(?P<how>[~|^$*]?)=
        (?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\]]*+)\s?[is]?(?:\]|\Z)""",
    re.X,
)
VALUE_IN_MARKUP: Final = re.compile(r"""(?i)(?<=[\s"'])value\s?=\s?(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))""")

_STRONG = r"passw(?:or)?d|passwort|passphrase|passcode|mot[ _\-]?de[ _\-]?passe|contrase(?:ñ|n)a|pwd|secret"
_WEAK = r"""token|api[_\-. ]?key|access[_\-]?key(?:[_\-]?id)?|private[_\-]?key|(?:account|signing|encryption)[_\-]?key
    |credentials?|session(?:[_\-]?(?:id|key|token))?|sess(?:ion)?id|(?<![a-z])(?:auth|sid|pin|otp|tan|cvv2?|cvc2?|sig|jwt|code_verifier)
    |authorization|cookie|signature|x[cs]rf|nonce|ssn|(?<![a-z])pass"""
_SUFFIX = r"""(?:[_\-]?(?:key(?:[_\-]?(?:base|id))?|hash|value|confirm(?:ation)?|repeat|again|v?\d{1,2}))?"""
_MIDDLE = r"""(?P<middle>\\?["']?\s{0,3}(?:=>|:=|=(?!=)|\]=(?!=)|:(?!:)|>(?=[^<>\s]{1,256}</)
    |(?<=\s)(?:is|was)(?=\s))\s{0,3})"""
_QUOTED = r"""\\"(?:[^"\\]|\\[^"])*+(?:\\"|\Z) | "(?:[^"\\]|\\.)*+(?:"|\Z) | '(?:[^'\\]|\\.)*+(?:'|\Z)"""
_HEADER = r"""(?:basic|bearer|token|negotiate|apikey)[ ]+[^\s,;"']++ | digest[ ][^\r\n]*+"""


def _compile_named_secret(plain_value: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?=[acejkmnopstx])(?:(?P<strong>{_STRONG})|(?P<weak>{_WEAK}))(?P<suffix>{_SUFFIX}){_MIDDLE}"
        rf"(?P<value>{_HEADER} | {_QUOTED} | {plain_value})",
        re.X | re.I | re.S,
    )


NAMED: Final = _compile_named_secret(r"""[^\s,;&"'<>)}\]\[]++ | \[[^\]]*+\]?""")
NAMED_IN_PATH: Final = _compile_named_secret(r"""[^\s,;&"'<>)}\]\[/]++ | \[[^\]]*+\]?""")
COOKIES: Final = re.compile(
    r"""(?i)(?P<name>\bcookies?\\?["']?\s{0,3}[:=]\s{0,3}["']?)[^\s;,"'=]++=[^\s;,"']*+(?:;\s?[^\s;,"'=]++(?:=[^\s;,"']*+)?)*+"""
)
"""A `Cookie:` header with its pairs."""

TOKEN: Final = re.compile(
    r"""
    (?<![\w\-]) (?:
        eyJ[\w\-]{8,}+(?:\.[\w\-]*+){0,4}
      | gh[opusr]_[A-Za-z0-9]{10,}+ | github_pat_\w{10,}+ | gl(?:pat|dt|rt|cbt|ptt|soat|ft|imt|agent|oas)-[\w\-.]{10,}+
      | (?:AKIA|ASIA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA|ABIA|ACCA)[A-Z0-9]{12,}+
      | (?:sk|pk|rk)_(?:live|test|prod)_\w{6,}+ | whsec_[\w+/=\-]{8,}+ | (?:rzp|tok|pi|seti|cus|card|src)_(?:live|test)_\w{6,}+
      | sk-(?:proj-|ant-|or-|svcacct-|admin-)?(?=[A-Za-z_\-]{0,40}[0-9])[\w\-]{16,}+
      | AIza[\w\-]{16,}+ | ya29\.[\w\-]{10,}+ | 1//0[\w\-]{10,}+ | GOCSPX-[\w\-]{10,}+
      | xox[a-z]-[\w\-]{6,}+ | xapp-\d[\w\-]{8,}+
      | npm_[A-Za-z0-9]{30,}+ | pypi-[\w\-]{16,}+ | rubygems_[0-9a-f]{20,}+ | hf_[A-Za-z0-9]{20,}+
      | dckr_(?:pat|oat)_[\w\-]{10,}+
      | SG\.[\w\-]{8,}+\.[\w\-]{8,}+ | key-[0-9a-f]{32}\b | [0-9a-f]{32}-us\d{1,2}\b
      | (?:AC|SK|AP)[0-9a-f]{32}\b | shp(?:at|ca|pa|ss|ua)_[0-9a-fA-F]{20,}+ | sq0(?:atp|csp|idp)-[\w\-]{10,}+
      | EAA[A-Za-z0-9]{20,}+ | AAAA[A-Z][A-Za-z0-9+/=]{12,}+
      | do[opr]_v1_[0-9a-f]{20,}+ | glsa_\w{20,}+ | glc_\w{20,}+ | lin_(?:api|oauth)_\w{10,}+
      | sntr[yus]{1,2}_\w{10,}+ | figd_[\w\-]{10,}+
      | ATATT3[\w\-=]{10,}+ | ATCTT3[\w\-=]{10,}+ | ntn_\w{20,}+ | secret_[A-Za-z0-9]{30,}+
      | PMAK-[\w\-]{20,}+ | tskey-[\w\-]{10,}+ | NRAK-\w{10,}+ | hv[sbr]\.[\w\-]{10,}+
      | v1\.0-[0-9a-f]{20,}+ | AGE-SECRET-KEY-\w{10,}+ | amzn\.mws\.[\w\-]{10,}+ | EZ[AT]K\w{20,}+
      | PRIVATE-TOKEN[ :=]{1,3}\S{6,}+
      | \d{8,10}:AA[\w\-]{30,}+ | [MNO][\w\-]{22,27}\.[\w\-]{5,7}\.[\w\-]{26,}+ | (?:key|pat)[A-Za-z0-9]{14}\.[0-9a-f]{40,}+
      | T[A-Z0-9]{7,11}/B[A-Z0-9]{7,11}/[A-Za-z0-9]{16,}+
    )
    """,
    re.X,
)
SCHEME: Final = re.compile(
    r"""
    (?<![\w\-]) (?i:bearer)(?:\s|%20|\+|:){1,3}+ (?P<bearer>(?i:bearer\s)?[\w.~+/=\-]{6,}+)
  | (?<![\w\-]) (?i:basic)(?:\s|%20|\+|:){1,3}+ (?P<basic>[\w+/\-]{4,}+={0,2})
  | (?<![\w\-]) (?i:digest)\s{1,3}(?i:username|realm|nonce|uri|response|cnonce)=[^\r\n]*+
    """,
    re.X,
)
EMAIL: Final = re.compile(
    r"""
    (?:"[^"\n@]{1,64}+" | (?<![\w.+!$&'*=^{|}~\-])[\w.+!$&'*=^{|}~\-]++)
    (?:@|%40|[ ]@[ ])
    (?: (?!\dx\.)(?:[\w\-]++[.。])+[^\W\d_][\w\-]++ | \[(?:IPv6:)?[0-9A-Fa-f:.]{3,45}+\] )
  | (?<![\w.+\-])[\w.+\-]{1,64}+[ ]?[\[({<][ ]?(?i:at|@|ät|arobase)[ ]?[\])}>][ ]?[\w\-]{1,63}+
    (?:[ ]?(?:[\[({<][ ]?(?i:dot|\.|punkt|point)[ ]?[\])}>]|\.)[ ]?[\w\-]{1,63}+){1,5}+
    """,
    re.X,
)
OBSCURED_AT: Final = re.compile(r"(?i)[\[({<] ?(?:at|@|ät|arobase) ?[\])}>]")
OPTION: Final = re.compile(
    r"(?i)(?<![\w\-])(?P<name>-u\s{1,3}(?=[^\s:]{1,64}:)|--?(?:user|password|passwd|pass|pwd|token|secret|api-?key)\s{1,3})(?!-)\S++"
)
"""Command options that take a secret."""
IBAN: Final = re.compile(r"(?<![0-9A-Za-z])(?=([A-Za-z]{2}\d{2}(?:[ \-.]?[0-9A-Za-z]){11,40}))")
NUMBERS: Final = re.compile(
    r"""
    (?P<uuid>(?<![0-9A-Za-z])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9A-Za-z]))
  | (?P<hex>(?<![0-9A-Za-z])(?=[0-9]*+[a-fA-F])[0-9a-fA-F]{24,}+(?![0-9A-Za-z]))
  | (?P<mac>(?<![\w:\-])(?:(?:[0-9A-Fa-f]{2}:){5}|(?=[0-9\-]{0,16}[A-Fa-f])(?:[0-9A-Fa-f]{2}-){5})[0-9A-Fa-f]{2}(?![\w:\-]))
  | (?P<ip6>(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:.]{3,45}+(?![\w:])(?![ \-]\d{4}[ \-]\d{4}(?!\d)))
  | (?P<ip4>(?<![\w.\-@+%])(?<!(?<!/)/)\d{1,3}(?:\.\d{1,3}){3}(?![\w\-]|\.\d))
  | (?P<phone>
        (?<![\w+])\+[ ]?\(?[1-9](?:[ .\-/()]{0,3}\d){6,14}(?!\d)
      | (?<![\w.,:+\-/])00[ ]?[1-9](?:[ .\-/()]{0,2}\d){7,13}(?!\d)
      | (?<![\d+(])(?<![\d][.\-])\([2-9]\d{2}\)[ .\-]{0,2}\d{3}[ .\-]?\d{4}(?!\d)
      | (?<![\w.+\-/:,])(?:1[ .\-])?[2-9]\d{2}[ .\-]\d{3}[ .\-]\d{4}(?![\w\-]|\.\d)
      | (?<![\w.,:+\-/(])(?:\(0[1-9]\d{0,4}\)(?:[ ./\-]{0,3}\d){5,10}|0[1-9](?=\d{0,4}[ /.\-])(?:[ ./\-]{0,3}\d){7,10})(?!\d)
    )
  | (?P<ssn>(?<![\w.\-])(?!000|666)\d{3}(?P<sep>[ .\-])(?!00)\d\d(?P=sep)(?!0000)\d{4}(?![\w\-]|\.\d))
  | (?P<digits>\d(?:(?:[ .\-+_]|%20)?\d){8,}+)
    """,
    re.X,
)
DATE_FIRST: Final = re.compile(r"\d\d([./\-])\d\d\1\d{2,4}(?!\1?\d)")
DECIMAL: Final = re.compile(r"\+\d{1,3}\.\d+(?:[ ,]|\Z)")
OPAQUE: Final = re.compile(r"(?<![A-Za-z0-9_\-])[A-Za-z0-9_\-]{24,}+")
ID_BEFORE: Final = re.compile(
    r"(?i)(?:order|bestell\w{0,6}|invoice|ticket|item|sku|ref(?:erence)?|article|product|part|case|build|booking|parcel|shipment|"
    r"tracking|isbn|ean|gtin|upc|asin|model|serial|revision|batch|lot)[ _\-]?"
    r"(?:no\.?|nr\.?|number|id)?\s?[:=]?\s?#?\s?[A-Za-z0-9\-]{0,10}\Z"
)
VERSION_BEFORE: Final = re.compile(
    r"(?i)(?<![a-z])(?:v|ver|version|release|build|app|sdk|rev(?:ision)?|firmware|driver|update|upgrade|upgraded? to|chrome|"
    r"edge|patch|hotfix)\.?\s?[:=]?\s?\Z"
)
"""Words before four numbers with dots that are a version, not an address."""

CONTEXT: Final = re.compile(
    r"(?i)reset|verif|invit|confirm|unsubscri|magic|log-?_?in|sign-?_?(?:in|up)|activat|(?:^|[-_.])share[ds]?(?:$|[-_.])|recover|"
    r"token|opt-?_?in|passw|(?:^|[-_.])(?:otp|2fa|mfa|sso|code|join|accept)(?:$|[-_.])|validate-?_?e|email-?_?chang|onetime|one-time"
)
"""A path segment after which an opaque segment is a token: the link alone authorizes its holder."""
ONE_TIME: Final = re.compile(r"(?i)verif|reset|passw|magic|(?:^|[-_.])(?:otp|2fa|mfa|code)(?:$|[-_.])|onetime|one-time")
VERSIONED: Final = re.compile(r"(?i)v|version|releases?|downloads?|builds?|packages?|tags?|dist|lib|libs|npm")
FILE: Final = re.compile(
    r"(?i)\.(?:[cm]?js|jsx|tsx?|vue|css|scss|map|json|x?html?|png|jpe?g|gif|svg|webp|avif|woff2?|ttf|otf|eot|ico|wasm|php|aspx?|jsp|do|"
    r"xml|txt|pdf|mp[34]|webm|webmanifest|csv|zip)\Z"
)
WORDLIKE: Final = re.compile(r"(?:[A-Z]?[a-z]{1,19}|[A-Z]{1,12})\d{0,2}|\d{1,4}|v\d{1,3}")
SPLIT: Final = re.compile(r"[-_.~]")
UUID: Final = re.compile(r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
HEX: Final = re.compile(r"[0-9a-fA-F]+")
RUN: Final = re.compile(r"[A-Za-z0-9]{20,}+")
MIXED: Final = re.compile(r"[A-Za-z][0-9]{1,2}(?=[A-Za-z])")
TURN: Final = re.compile(r"[a-z0-9][A-Z]")
