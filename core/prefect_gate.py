"""Whether the Prefect server of this installation runs: a file that ``furrow up`` makes while it does.

The address of a server says nothing about whose it is. If another one has taken the port, its runs and blocks are not ours: so
the engine asks no server before ``furrow up`` has seen its own answer. Without ``furrow up`` (server mode) there is no gate.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

VARIABLE: Final = "FURROW_PREFECT_GATE"


def is_gate_open() -> bool:
    """Whether the Prefect server may be asked."""
    file = os.environ.get(VARIABLE, "")
    return not file or Path(file).exists()


def set_gate_open(file: Path, is_ours: bool) -> None:
    """Open or close the gate; a disk that does not take the file leaves it as it is."""
    with contextlib.suppress(OSError):
        if is_ours and not file.exists():
            file.touch(mode=0o600)
        elif not is_ours:
            file.unlink(missing_ok=True)
