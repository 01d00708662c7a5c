"""The 175 scenarios that other products test, and the kinds here that play them as whole sessions.

Most of them ask about one signal ("is this a dead click?"). Here the question is whether a person was stopped: clicks
that nothing fails around are calm however a product names them.
"""

from __future__ import annotations

CASE_IDS = tuple(f"P{n:03d}" for n in (*range(1, 171), *range(246, 251)))

_PLAYED = """
double_clicker: 1 9 46 57
tabs_and_accordion: 2 126
clicks_on_plain_text: 4 71 72 87 88 89 127 133 155
dice_and_reshuffle: 5 18 46
quantity_stepper: 8 40 47 55 157 158
stepper_at_its_limit: 10 11 13
button_throws: 12 41
pay_500_mashed: 12 41
double_click_then_409: 15
triple_click_selects: 14 16 96 97 121
click_that_scrolls: 17 24 92 93 131 132 165 166
carousel: 19 20 47
media_seek: 48 159
clicking_game: 29 49
map_tiles_missing: 29
colours_tried_on: 51
calendar_months: 50
lone_dead_click: 21 27 30 31 32 36 37 38 77 78 85 86 95 101 106 117 123 134 135 138 139 140 143 146 149 150 168
dead_button_and_on: 125 126
fields_clicked_into: 23 25 26 28 33 34 35 79 80 81 82 83 84 136 137 151
brisk_shopper: 22 39 94 118 128 162 163 164 44
links_with_a_modifier: 73 74 75 76 108 110 112 114 116
one_script_error_and_on: 42 152 153
one_error_and_on: 15 43
click_then_tab_hidden: 45 98 100 102 103 104 105 169
tab_switching: 99 119 120
swipes_without_effect: 122
slow_but_fine: 129 130 160 167
impatient_then_it_came: 161
external_links: 141 147
print_share_download: 142 148
cancelled_file_dialog: 156
two_bursts_minutes_apart: 159 246
clicks_by_script: 57 248 249 250
power_user: 247
"""

_REASONS = {
    "the edge of one signal's window, in milliseconds; no session turns on it": (3,),
    "when a running chain counts as final; a finished session has no such moment": (6, 7),
    "another product's setting of clicks, time or distance; the same clicks are played at ours": (
        52, 53, 54, 63, 64, 65, 66, 67, 68, 69,
    ),
    "detection switched off: a setting, not a session": (56, 58, 170),
    "an element opted out by a class or attribute; in the contract this is a project's setting": (
        59, 60, 61, 62, 90, 91, 144, 145, 154,
    ),
    "a queue inside that product; the contract carries clicks, not candidates": (70,),
    "asked before the outcome is known; only finished sessions are judged": (107, 124),
    "a setting that counts clicks with a modifier key; the contract knows no such key": (109, 111, 113, 115),
}  # fmt: skip


def _played() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for line in _PLAYED.strip().splitlines():
        name, numbers = line.split(":")
        for number in numbers.split():
            case = f"P{int(number):03d}"
            table[case] = (*table.get(case, ()), name)
    return table


PLAYED = _played()
"""Case id to the kinds that play it."""

NOT_OURS = {f"P{number:03d}": reason for reason, numbers in _REASONS.items() for number in numbers}
"""Case id to the reason why no session of the contract can show it."""
