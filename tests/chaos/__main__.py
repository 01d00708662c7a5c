"""``python -m tests.chaos [--seeds 1000-1199] [--fresh 1-20]``: a line a scenario, non-zero at any difference."""

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator

from tests.chaos.line import line, seeds_of
from tests.chaos.parts import LOG_VARIABLE
from tests.chaos.plan import plan
from tests.chaos.scenario import Scenario, undisturbed
from tests.chaos.stack import Stack


def reused(seeds: list[int]) -> Iterator[tuple[str, bool]]:
    """A line for each scenario on the reused stack, and whether all is as in the undisturbed run."""
    with Stack() as stack:
        expected, catalogue = undisturbed(stack)
        for seed in seeds:
            began = time.monotonic()
            with Scenario(stack, plan(seed, catalogue)) as scenario:
                try:
                    found = scenario.run().differences(expected)
                except Exception as error:
                    traceback.print_exc()
                    found = [f"{type(error).__name__}: {error}"]
            yield line(seed, found, [*scenario.struck, *scenario.plan.words()], time.monotonic() - began), not found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="", help="scenarios on the reused stack, as 1000-1019,1044")
    parser.add_argument("--fresh", default="", help="scenarios with every process real and fresh, as 1-20")
    parser.add_argument("--log", default="", help="file that the processes log to")
    chosen = parser.parse_args()
    os.environ[LOG_VARIABLE] = chosen.log
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that Postgres and the directories go too
    began, number, differing = time.monotonic(), 0, 0
    runs: list[Iterator[tuple[str, bool]]] = []
    if chosen.seeds:
        runs.append(reused(seeds_of(chosen.seeds)))
    if chosen.fresh:
        from tests.chaos.fresh import fresh

        runs.append(fresh(seeds_of(chosen.fresh)))
    for run in runs:
        for told, equal in run:
            print(told, flush=True)
            number, differing = number + 1, differing + (not equal)
    print(f"{number} scenarios, {differing} differ from the undisturbed run ({time.monotonic() - began:.0f} s)")
    return 1 if differing or not number else 0


if __name__ == "__main__":
    sys.exit(main())
