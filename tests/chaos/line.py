"""How a scenario is told: one line, and what differs below it."""


def line(seed: int, found: list[str], told: list[str], seconds: float) -> str:
    """What is printed of one scenario."""
    what = "; ".join(told) or "nothing was disturbed"
    if not found:
        return f"seed {seed}: ok: {what} ({seconds:.1f} s)"
    return f"seed {seed}: DIFFERS: {what} ({seconds:.1f} s)" + "".join(f"\n    {one}" for one in found)


def seeds_of(text: str) -> list[int]:
    """``3-5,9`` → 3, 4, 5, 9."""
    spans = [part.partition("-") for part in text.split(",") if part]
    return [seed for first, dash, last in spans for seed in range(int(first), int(last if dash else first) + 1)]
