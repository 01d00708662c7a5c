"""What a signal is."""

from dataclasses import dataclass
from typing import Final

RAGE: Final = "rage"
BLOCKED: Final = "blocked"
ABANDONMENT: Final = "abandonment"
CONFUSION: Final = "confusion"
FEEDBACK: Final = "feedback"


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal. Times are epoch ms; ``rows`` are the frame rows it rests on, in order."""

    kind: str
    start: int
    end: int
    rows: tuple[int, ...]
    count: int
    action: int
    """Packed (pattern, target) that it is about; for confusion the route it began on."""
    row: int
    """The row whose route and target it is shown with."""
    form: str = ""
    """A finer name: ``reloads``, ``oscillation``, ``thrash``, ``left``, ``ended``, ``silence``."""
