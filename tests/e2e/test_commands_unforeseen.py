"""What a person sees of an error that nobody foresaw: one line and where the rest is, never a traceback."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.installation import environment

# A command in which something breaks that no code of ours catches.
BROKEN = """
import sys
from furrow.cli import app
from furrow.doctor import report
def breaks(*_):
    raise RuntimeError("a secret: hunter2")
report.examine_installation = breaks
sys.argv = ["furrow", "doctor", *sys.argv[1:]]
app.main()
"""


def broken(*arguments: str, **extra: str) -> str:
    """The one line of the command that breaks."""
    command = [sys.executable, "-c", BROKEN, *arguments]
    told = subprocess.run(command, capture_output=True, text=True, env=environment(**extra), timeout=120, check=False)
    assert told.returncode == 1
    assert told.stdout == ""
    assert told.stderr.count("\n") == 1, told.stderr
    assert "Traceback" not in told.stderr
    assert "RuntimeError" not in told.stderr
    return told.stderr


@pytest.mark.parametrize("has_logs", [True, False])
def test_an_error_that_nobody_foresaw_is_one_line_and_a_file(tmp_path: Path, has_logs: bool) -> None:
    data, temporary = tmp_path / "data", tmp_path / "tmp"
    temporary.mkdir()
    if has_logs:
        (data / "logs").mkdir(parents=True)
    line = broken("--data-dir", str(data), TMPDIR=str(temporary))
    found = re.search(r"the traceback is in (\S+)", line)
    assert found
    log = Path(found[1])
    assert log.parent == (data / "logs" if has_logs else temporary)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "RuntimeError" in log.read_text()
    assert "in breaks" in log.read_text()
    assert "hunter2" not in log.read_text()  # an error's words may hold what somebody sent
    assert data.exists() == has_logs
