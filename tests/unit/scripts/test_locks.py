"""The two locks: hashes for every file, no address, no test tool where Furrow runs, and in step with pyproject.toml."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from scripts import third_party

ROOT = Path(__file__).resolve().parents[3]
DEV, RUN = ((ROOT / name).read_text() for name in ("requirements.lock", "requirements-run.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENTRY = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;]+)(?P<marker> ; [^\\]+)?(?P<hashes>( \\\n    --hash=sha256:[0-9a-f]{64})+)$"
)


def entries(lock: str) -> dict[str, re.Match[str]]:
    found: dict[str, re.Match[str]] = {}
    text = "\n".join(line for line in lock.splitlines() if not line.startswith("#"))
    for entry in re.split(r"\n(?=\S)", text.strip()):
        match = ENTRY.fullmatch(entry)
        assert match, entry
        found[match["name"]] = match
    return found


def names(requirements: list[object]) -> set[str]:
    wanted = [one for one in requirements if isinstance(one, str)]
    return {re.split(r"[<>=\[ ;]", one)[0].lower().replace("_", "-") for one in wanted}


@pytest.mark.parametrize("lock", [DEV, RUN])
def test_every_line_is_a_version_with_hashes_and_nothing_names_a_registry(lock: str) -> None:
    assert len(entries(lock)) > 100
    assert "://" not in lock
    assert "index-url" not in lock


def test_what_runs_is_what_was_tested() -> None:
    # Markers may differ: the lock for tests has more that may want a package.
    dev, run = ({name: (one["version"], one["hashes"]) for name, one in entries(lock).items()} for lock in (DEV, RUN))
    assert run.items() <= dev.items()


def test_the_locks_hold_what_the_project_wants() -> None:
    dev, run = set(entries(DEV)), set(entries(RUN))
    groups = PROJECT["dependency-groups"]
    assert names(PROJECT["project"]["dependencies"]) | names(groups["build"]) <= run
    assert names(groups["dev"]) <= dev


def test_no_test_tool_runs_where_furrow_runs() -> None:
    tools = names(PROJECT["dependency-groups"]["dev"]) - {"jsonschema"}  # Prefect needs that one itself
    assert not tools & set(entries(RUN))


def test_what_is_installed_here_is_what_is_locked() -> None:
    for name, entry in entries(DEV).items():
        if not entry["marker"]:
            assert version(name) == entry["version"]


def test_licences_are_in_step_with_the_lock() -> None:
    assert third_party.FILE.read_text() == third_party.render_licences_file(RUN), "run `make lock`"
    assert {one.package for one in third_party.find_licences(RUN)} == set(entries(RUN))


def test_a_package_without_a_known_licence_is_refused() -> None:
    with pytest.raises(LookupError, match="no-such-package"):
        third_party.render_licences_file("no-such-package==1.0 \\\n")


def test_the_licence_is_the_whole_standard_text() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert [int(n) for n in re.findall(r"^   (\d)\. ", text, re.MULTILINE)] == list(range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in text
    assert text.rstrip().endswith("limitations under the License.")


def test_both_installations_insist_on_the_hashes() -> None:
    assert "--require-hashes -r requirements.lock" in (ROOT / "Makefile").read_text()
    assert "--require-hashes -r requirements-run.lock" in (ROOT / "Dockerfile").read_text()
