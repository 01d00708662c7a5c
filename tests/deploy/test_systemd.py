"""deploy/systemd, read by systemd's own tools (they need no running systemd)."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy/systemd"
MOST_EXPOSED = 20
"""Tenths of a point out of 10 that systemd's own assessment may give (furrow.service alone has some 90)."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The shipped files, with a program that exists on this machine."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd): the unit is then not verified")
    shutil.copytree(UNITS, tmp_path / "units")
    unit = tmp_path / "units/furrow.service"
    program = Path(sys.executable).parent / "furrow"
    unit.write_text(unit.read_text().replace("/opt/furrow/.venv/bin/furrow", str(program)))
    return tmp_path / "units"


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("hardened", [True, False])
def test_systemd_understands_every_line(units: Path, hardened: bool) -> None:
    if not hardened:
        shutil.rmtree(units / "furrow.service.d")
    checked = analyze("verify", str(units / "furrow.service"))
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_drop_in_takes_what_is_not_needed(units: Path) -> None:
    hardened = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(units / "furrow.service"))
    assert hardened.returncode == 0, hardened.stdout[-200:]
    shutil.rmtree(units / "furrow.service.d")
    plain = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(units / "furrow.service"))
    assert plain.returncode != 0


def test_the_secrets_are_in_no_unit() -> None:
    text = "".join(path.read_text() for path in UNITS.rglob("*") if path.is_file())
    assert re.findall(r"^Environment=(\w+)", text, re.M) == ["FURROW_DATA_DIR"]
    assert "EnvironmentFile=-/etc/furrow/furrow.env" in text
