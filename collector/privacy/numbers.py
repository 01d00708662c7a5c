"""Masks numbers that identify a person: cards (Luhn's check), IBANs (remainder), and long runs of digits."""

import re
from itertools import islice
from typing import Final

from collector.privacy import patterns as p

LONG_DIGIT_RUN: Final = 9
"""Digits from which a run is masked: the shortest national identity and telephone numbers have nine."""

_NAMED_DIGITS = range(9, 15)  # digits of a number that its text names as that of an order or an article
_CARD_DIGITS = range(13, 20)  # ISO/IEC 7812: 13 to 19 digits
_LONGEST = (19,)
_CARD_GROUPS = 19
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # twice a digit, minus nine when that has two digits
_DIGIT_GROUPS = re.compile(r"([0-9]+)")
_CARD_RUN = re.compile(r"[0-9]{13,19}")
_HEX_ID = re.compile(r"[0-9a-f]+")
_EPOCH_MS = range(10**12, 2 * 10**12)
_EPOCH_MS_NUMBER = range(10**12, 3 * 10**12)
_IBAN_LENGTHS: Final = {
    "NO": 15,
    "BE": 16,
    "DK": 18,
    "FI": 18,
    "FO": 18,
    "GL": 18,
    "NL": 18,
    "SD": 18,
    "FK": 18,
    "MK": 19,
    "SI": 19,
    "AT": 20,
    "BA": 20,
    "EE": 20,
    "KZ": 20,
    "LT": 20,
    "LU": 20,
    "XK": 20,
    "MN": 20,
    "CH": 21,
    "HR": 21,
    "LI": 21,
    "LV": 21,
    "BG": 22,
    "BH": 22,
    "CR": 22,
    "DE": 22,
    "GB": 22,
    "GE": 22,
    "IE": 22,
    "ME": 22,
    "RS": 22,
    "VA": 22,
    "AE": 23,
    "GI": 23,
    "IL": 23,
    "IQ": 23,
    "OM": 23,
    "TL": 23,
    "SO": 23,
    "AD": 24,
    "CZ": 24,
    "ES": 24,
    "MD": 24,
    "PK": 24,
    "RO": 24,
    "SA": 24,
    "SE": 24,
    "SK": 24,
    "TN": 24,
    "VG": 24,
    "LY": 25,
    "PT": 25,
    "ST": 25,
    "IS": 26,
    "TR": 26,
    "BI": 27,
    "DJ": 27,
    "FR": 27,
    "GR": 27,
    "IT": 27,
    "MC": 27,
    "MR": 27,
    "SM": 27,
    "AL": 28,
    "AZ": 28,
    "BY": 28,
    "CY": 28,
    "DO": 28,
    "GT": 28,
    "HU": 28,
    "LB": 28,
    "NI": 28,
    "PL": 28,
    "SV": 28,
    "BR": 29,
    "EG": 29,
    "PS": 29,
    "QA": 29,
    "UA": 29,
    "JO": 30,
    "KW": 30,
    "MU": 30,
    "YE": 30,
    "MT": 31,
    "SC": 31,
    "LC": 32,
    "RU": 33,
}


def mask_digits(found: str, card: str, number: str, *, is_id: bool, named: bool) -> str:
    """Mask cards (in groups or in one run) and long runs in ``found`` (digits and separators).

    ``number``: the mark of a long run; '': long runs stay. ``is_id``: epoch milliseconds are not a card. ``named``: a word
    such as "order" stands before it, so that a run of up to 14 digits stays.
    """
    parts = _DIGIT_GROUPS.split(found)  # separators at even places, digit groups at odd ones
    first = 1
    while first < len(parts):
        if len(parts[first]) == 1:
            after = _find_singles_end(parts, first)
            if after - first >= 2 * _CARD_DIGITS[0] - 1:
                parts[first:after] = [card] + [""] * (after - first - 1)
            first = after + 1
            continue
        end = _find_card_end(parts, first, is_id)
        if end:
            parts[first:end] = [card] + [""] * (end - first - 1)
            first = end + 1
        else:
            first += 2
    if not number:
        return "".join(parts)
    for place in range(1, len(parts), 2):
        part = parts[place]
        if len(part) >= LONG_DIGIT_RUN and part[0].isdigit() and not (named and len(part) in _NAMED_DIGITS):
            parts[place] = number
    return "".join(parts)


def _find_singles_end(parts: list[str], first: int) -> int:
    """The index after the single digits, with equal separators, that begin at ``first``."""
    last, most = first, len(parts) - 2
    while last < most and len(parts[last + 2]) == 1 and parts[last + 1] == parts[first + 1]:
        last += 2
    return last + 1


def _find_card_end(parts: list[str], first: int, is_id: bool) -> int:
    """The index after the last group of a card that begins at ``first``; 0: no card begins there."""
    digits, sizes, end = "", [], 0
    for last in range(first, min(first + 2 * _CARD_GROUPS, len(parts)), 2):
        digits += parts[last]
        sizes.append(len(parts[last]))
        if len(digits) > _CARD_DIGITS[-1] or not _are_card_groups(sizes):
            break
        if len(digits) in (_CARD_DIGITS if not end else _LONGEST) and _passes_luhn_check(digits):
            if is_id and len(sizes) == 1 and len(digits) == 13 and int(digits) in _EPOCH_MS:
                break
            end = last + 1  # a card of 19 digits may begin with one of 16
    return end


def _are_card_groups(sizes: list[int]) -> bool:
    """Whether groups of these sizes can begin a card number: groups of four, 4-6-5, 8-8, or one group."""
    if len(sizes) == 1:
        return True
    if sizes[0] == 4:
        return (set(sizes[:-1]) == {4} and sizes[-1] <= 4) or sizes in ([4, 6], [4, 6, 5], [4, 6, 4])
    return sizes == [8, 8]


def mask_card_runs(text: str, card: str) -> str:
    """Mask cards in runs of 13 to 19 digits."""
    return _CARD_RUN.sub(lambda run: card if _passes_luhn_check(run[0]) else run[0], text)


def mask_integer(value: int, card: str) -> int | str:
    """``value``, or ``card`` when it is a card number."""
    # Epoch milliseconds of today have 13 digits, and one in ten passes Luhn's check by chance.
    if value in _EPOCH_MS_NUMBER or not 10**12 < abs(value) < 10**19:
        return value
    return card if _passes_luhn_check(str(abs(value))) else value


def _passes_luhn_check(digits: str) -> bool:
    values = [int(digit) for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


def mask_ibans(text: str, mark: str, *, is_id: bool) -> str:
    """Mask IBANs, in one run or in groups."""
    parts: list[str] = []
    done = 0
    for match in p.IBAN.finditer(text):
        start = match.start()
        length = _IBAN_LENGTHS.get(match[1][:2].upper())
        if length is None or start < done:
            continue
        end = _find_iban_end(match[1], length)
        # One in a hundred hex ids that begin with a country code passes the check by chance.
        if end and not (is_id and _HEX_ID.fullmatch(match[1][:end])):
            parts += [text[done:start], mark]
            done = start + end
    return "".join([*parts, text[done:]]) if parts else text


def _find_iban_end(text: str, length: int) -> int:
    """The end of the IBAN with which ``text`` begins; 0: it is not an IBAN."""
    places = list(islice((at for at, character in enumerate(text) if character.isalnum()), length))
    end = places[-1] + 1
    if len(places) < length or text[end : end + 1].isalnum():
        return 0
    seen = [text[at] for at in places]
    rotated = "".join(seen[4:] + seen[:4]).upper()
    return end if int("".join(str(int(c, 36)) for c in rotated)) % 97 == 1 else 0
