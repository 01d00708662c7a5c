"""Labels of controls without animation, counters and amounts: ``Pay..``, ``Pay $12`` and ``Pay`` are one label."""

import re
from typing import Final

_LONGEST: Final = 200
"""Characters of a label that is read; the contract allows 80."""
_SPINNERS: Final = "◐◓◑◒◜◝◞◟◴◵◶◷◌○◉●⏳⌛🔄⟳⟲↻↺⭮✓✔☑✗✘"
_EDGE = re.compile(rf"^[\s.…·•⋯{_SPINNERS}⠀-⣿|/\\*-]+(?=.*\w)|[\s.…·•⋯:;,{_SPINNERS}⠀-⣿|*-]+$")
_CURRENCY = (
    r"[$€£¥₹₽₩₺₫₴₦฿]|(?<![A-Za-z])(?:USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|BRL|CAD|AUD|NZD|"
    r"kr|zł|Kč|Ft|lei|R\$|Fr)\.?"
)
_NUMBER = r"\d(?:[\d.,'’\s\u00a0]*\d)?"
_CHANGING = re.compile(
    rf"[(\[（【]\s*[+-]?{_NUMBER}\s*(?:[/:]\s*\d+)*\s*[%\w]{{0,4}}\s*[)\]）】]"  # (3), [12 s]
    rf"|(?:{_CURRENCY})\s?{_NUMBER}|{_NUMBER}\s?(?:{_CURRENCY})(?![A-Za-z])"  # $12, 12,99 €
    r"|\d+(?:[.,]\d+)?\s?%"  # 40 %
    r"|(?<![\w/])\d+\s?/\s?\d+(?![\w/])"  # 3/10
    r"|(?<![\w.,])\d+\s?(?:s|sec|secs|sek|min|秒|сек|с)\b\.?",  # 29 s
)
_BUSY = re.compile(rf"(?:\.\.|…|⋯|[{_SPINNERS}⠀-⣿]|%)")
_LETTER = re.compile(r"[^\W\d_]")


def clean_label(label: str) -> str:
    """The label without dots, spinners, counters in brackets, amounts of money, percentages and seconds; unchanged if no letter
    would be left. A number without such a mark stays, and so does a time of day: "Order 1" and "Order 2" are two things.
    """
    text = label
    if len(label) > _LONGEST:
        return label
    for _ in range(3):
        cut = _EDGE.sub("", _CHANGING.sub(" ", text))
        cut = " ".join(cut.split())
        if cut == text:
            break
        text = cut
    return text if _LETTER.search(text) else label


def is_busy_label(label: str) -> bool:
    """Whether the label shows that something is going on: dots, a spinner, a percentage."""
    return bool(_BUSY.search(label))
