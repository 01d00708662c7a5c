"""Packages of npm that tests use, at the versions of their package-lock.json."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

_NO_REGISTRY = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT")


def install_packages(folder: Path) -> None:
    """`npm ci` in ``folder``, unless what is there is as new as its lock.

    Skips the test, with the reason, where Node.js or a registry is missing; any other failure fails it.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip(f"Node.js with npm is missing: what needs the packages of {folder.name} is not run")
    lock, installed = folder / "package-lock.json", folder / "node_modules/.package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    ran = subprocess.run([npm, "ci", "--prefer-offline"], cwd=folder, capture_output=True, text=True, timeout=300)
    if _NO_REGISTRY.search(ran.stderr):
        pytest.skip(f"no package registry: what needs the packages of {folder.name} is not run ({ran.stderr[-300:]})")
    assert ran.returncode == 0, ran.stderr
