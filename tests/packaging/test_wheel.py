"""The wheel carries all that Furrow needs to run, stands below one name, and starts in a directory of its own."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_SHIPPED = {"bench", "scripts", "examples", "tests"}  # examples is a link into furrow
DEMO_SECONDS = 300


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A copy: setuptools builds beside its sources, and would put what an earlier build left there into the wheel.
    source = tmp_path_factory.mktemp("source") / "furrow"
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "tests", "node_modules", "*.egg-info", "__pycache__")
    )
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(source)], check=True, capture_output=True)
    return next(folder.glob("furrow-*.whl"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def environment_with(wheel: Path, folder: Path) -> Path:
    """A virtual environment that has the wheel and, through a path file, the libraries of this one; its ``bin``.

    A path file of another directory is not read from there: the repository that is installed here stays unknown.
    """
    venv.create(folder, symlinks=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder / "bin" / "python"),
        "install",
        "--quiet",
        "--no-deps",
    ]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    return folder / "bin"


def stranger(bin_: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("FURROW_", "PREFECT_", "PYTHON", "PROMETHEUS_"))}
    return subprocess.run(
        [str(bin_ / command[0]), *command[1:]], cwd=cwd, env=plain, capture_output=True, text=True, timeout=DEMO_SECONDS
    )


def test_nothing_stands_at_the_top_level_but_furrow(names: set[str]) -> None:
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"furrow"}


def test_every_package_and_data_file_travels(names: set[str]) -> None:
    packages = {file.parent for file in ROOT.glob("*/__init__.py")} - {ROOT / name for name in NOT_SHIPPED}
    files = [file for package in packages for file in package.rglob("*") if file.is_file()]
    for file in [*files, ROOT / "prefect.yaml"]:
        if "__pycache__" in file.parts:
            continue
        path = file.relative_to(ROOT).as_posix()
        assert (path if path.startswith("furrow/") else f"furrow/_packages/{path}") in names, path


@pytest.mark.long
def test_an_installed_wheel_finds_an_incident_in_another_directory(wheel: Path, tmp_path: Path) -> None:
    bin_ = environment_with(wheel, tmp_path / "environment")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = stranger(bin_, "python", "-c", "import furrow, collector; print(collector.__file__)", cwd=elsewhere)
    assert where.stdout.startswith(str(tmp_path / "environment")), where.stdout + where.stderr
    demo = stranger(bin_, "furrow", "demo", cwd=elsewhere)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "POST /api/orders" in demo.stdout
    assert not list(elsewhere.iterdir()), "the demo leaves nothing behind"


@pytest.mark.soak
def test_a_wheel_installs_from_the_registries_alone(wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=True, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    demo = stranger(folder / "bin", "furrow", "demo", cwd=elsewhere)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "POST /api/orders" in demo.stdout


def test_the_script_for_pages_travels(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in ("furrow.js", "furrow.js.gz", "furrow.js.br"):
            assert (
                archive.read(f"furrow/_packages/browser/dist/{name}") == (ROOT / "browser" / "dist" / name).read_bytes()
            )
