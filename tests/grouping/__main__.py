"""``python -m tests.grouping``: how many pairs of one bug have one fingerprint, and of two bugs two.

``--misses`` lists the pairs that do not; those of the half that is aside only with ``--aside``.
"""

import argparse
import tempfile
from pathlib import Path

from tests.grouping.scenes import Pair, find_fingerprints, read_pairs


def is_right(pair: Pair, found: tuple[set[str], set[str]]) -> bool:
    """Whether both scenes were found as one incident each, which is the same for one bug and another for two."""
    first, second = found
    return len(first) == len(second) == 1 and (first == second) == (pair.bugs == "one")


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(prog="python -m tests.grouping", description=__doc__)
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--aside", action="store_true")
    chosen = parser.parse_args()
    pairs = read_pairs()
    with tempfile.TemporaryDirectory() as folder:
        found = find_fingerprints(pairs, Path(folder))
    judged = [(pair, is_right(pair, prints), prints) for pair, prints in zip(pairs, found, strict=True)]
    for half, chosen_half in (("tuned", [False]), ("aside", [True]), ("all", [False, True])):
        for bugs, name in (("one", "one bug is one incident"), ("two", "two bugs stay two")):
            right = [ok for pair, ok, _ in judged if pair.bugs == bugs and pair.aside in chosen_half]
            print(f"{half:6} {name:24} {sum(right):4} of {len(right):4}: {100 * sum(right) / len(right):.1f} %")
    for pair, ok, prints in judged:
        if chosen.misses and not ok and (chosen.aside or not pair.aside):
            seen = "/".join(str(len(p)) for p in prints)
            scenes = [
                {k: v for k, v in vars(s).items() if v and v != getattr(type(s), k, None)} for s in (pair.a, pair.b)
            ]
            print(f"{pair.bugs} {pair.family} ({seen} incidents): {scenes[0]} | {scenes[1]}")


if __name__ == "__main__":
    main()
