"""Whether a user agent is a program's (docs/contracts/detection.md, Identity and privacy; docs/decisions/0055).

The list of known programs is the data of the package ``crawler-user-agents`` (MIT). It names programs wherever they stand in an
agent, so that a phone called "Cubot" or "Fever Plus" would be one. Therefore names of devices and of people's applications are
taken out first, and a name counts only where a word begins. Measured on 38,513 agents of people and 2,123 of programs: see the
decision.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from ufse.memo import memoize_texts

_DEVICE: Final = re.compile(
    # Android: the version, perhaps "U" and a language, then the model; and the build wherever it stands.
    r"(?<=android)(?P<version>[ /-]?[\w.]*)(?:; ?(?:u|[a-z]{2}(?:[-_][a-z]{2,4})?))*; ?[^;()]*(?:\([^()]*\)[^;()]*)*"
    r"|\bbuild/[^;()]*"
    # What applications and televisions say about the device.
    r"|\[fb[^\]]*\]|\binstagram [\d.]+ android \([^()]*\)|hbbtv/[\d.]+ \([^()]*\)",
    re.I,
)
_PEOPLES: Final = re.compile(
    r"\bsogou(?:mse|mobilebrowser|search)\b|\bfluid/[\d.]+ safari|\bsafari/[\d.]+ viber/"
    r"|\bhttp://bsalsa\.com|\bhotjava/",
    re.I,
)
"""Names of people's browsers and of their components that the list takes for programs."""
_ASSISTIVE: Final = re.compile(r"\b(nvda|jaws|voiceover|talkback|zoomtext|chromevox)\b", re.I)
_PLATFORM: Final = re.compile(
    r"windows|win\d|macintosh|mac ?os|mac_p|x11|linux|android|iphone|ipad|ipod|cros\b|symbian|series ?[46]0|blackberry|bb10|"
    r"playbook|tizen|web0s|webos|smart-?tv|playstation|nintendo|xbox|kaios|maemo|meego|bada|midp|palm|hpwos|netcast|bsd\b|"
    r"sunos|os/2|beos|haiku|amiga|kindle|msie|trident|konqueror|gecko/\d|syllable|brew|opera|ms-office",
    re.I,
)
_PROGRAM: Final = re.compile(
    # Browsers that a program drives, libraries, services; many are not in the list.
    r"(?<![a-z])(?:headless|phantomjs|slimerjs|selenium|puppeteer|playwright|webdriver|cypress/|(?:chrome-)?lighthouse|"
    r"pingdom|uptime|gtmetrix|statuscake|site24x7|synthetic|dynatracesynthetic|datadog|cloudflare-?(?:diag|observ|health)|"
    r"(?:lib)?curl/|wget|python[-/ ]|java/\d|go-http|okhttp|axios/|node-fetch|node\.js|undici|libwww-perl|scrapy|guzzle|"
    r"postman|apache-httpclient|httpclient|facebookexternal|feedfetcher|apachebench|elb-health|prometheus/|grafana/|k6/)"
    # What a program calls itself.
    r"|(?:bot|crawler|spider|scraper|fetcher|scanner|checker|validator|archiver|prerender|verifier|healthcheck(?:er)?)s?"
    r"(?:-[a-z]+)?/v?\d|(?:bot|crawler|spider|scraper)s?(?=[;):,+]|$)|(?<!\w)crawl(?:er|ing)?\b|\bcompatible; [\w-]*google"
    # A page or mailbox for complaints.
    r"|https?://|\bwww\.|mailto:|[\w.-]+(?:@|\[at\])[\w-]+\.[a-z]{2,}"
    r"|^mozilla/\d\.\d(?: \((?:compatible)?\))?$",
    re.I,
)
_OUTSIDE: Final = re.compile(r"(?:monitor|preview|probe|analyz|inspector)[a-z]*/\d", re.I)
"""Said of a program beside its browser; inside of parentheses, a screen may be called a monitor."""
_WITHOUT_PLATFORM: Final = re.compile(
    r"bot\b|spider|crawl|scrap(?:er|y)|slurp|fetch|monitor|preview|validator|archiver|check|scan|probe|"
    r"^(?:mozilla/\d\.\d )?\(?compatible;",
    re.I,
)
"""Said of a program by an agent that names no system. Every browser names one."""
_PARENTHESES: Final = re.compile(r"\([^()]*\)")
_PATTERNS_AT_ONCE: Final = 25


@memoize_texts
def is_machine_agent(agent: str) -> bool:
    """Whether ``agent`` is that of a program (a crawler, a monitor, a library, a driven browser) or names assistive
    technology.
    """
    own = _PEOPLES.sub(" ", _DEVICE.sub(_keep_version, agent))
    if _ASSISTIVE.search(own) or _PROGRAM.search(own) or _OUTSIDE.search(_PARENTHESES.sub(" ", own)):
        return True
    if not _PLATFORM.search(own) and _WITHOUT_PLATFORM.search(own):
        return True
    return any(search(own) and at_word(own) for search, at_word in _compile_known_programs())


def _keep_version(device: re.Match[str]) -> str:
    return f"{device['version']};" if device["version"] is not None else ""


@cache
def _compile_known_programs() -> list[tuple[Callable[[str], object], Callable[[str], object]]]:
    """Searches for some of the known programs each: anywhere, and where a word begins. The first is the quicker one.

    The list is read when the first agent is judged: most processes never judge any.
    """
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    patterns = [entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA]
    parts = [patterns[at : at + _PATTERNS_AT_ONCE] for at in range(0, len(patterns), _PATTERNS_AT_ONCE)]
    return [(re.compile("|".join(part)).search, _search_words(part)) for part in parts]


def _search_words(patterns: list[str]) -> Callable[[str], object]:
    """A search for ``patterns`` where a word begins; compiled when it is first used."""

    @cache
    def compile_words() -> re.Pattern[str]:
        return re.compile(
            "|".join(rf"(?<![A-Za-z0-9])(?:{p})" if p[0].isalnum() or p[0] == "[" else p for p in patterns)
        )

    return lambda text: compile_words().search(text)
