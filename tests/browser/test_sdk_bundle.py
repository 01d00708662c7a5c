"""browser/dist is what browser/src builds, and it stays small."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = Path(__file__).parents[2] / "browser"
DIST = BROWSER / "dist"
GOAL_BYTES = 8_192
MOST_BYTES = 10_435
"""Of the script, gzipped. Until the goal is reached, this number only ever becomes smaller (decision 80)."""
LEFT_BYTES = 32
"""A script that is smaller than the ceiling by more than this takes the ceiling along. Compressors differ by a few bytes."""
FILES = {"furrow.js", "furrow.js.gz", "furrow.js.br", "index.mjs", "index.d.ts", "types.d.ts"}


def gzipped() -> int:
    return len(gzip.compress((DIST / "furrow.js").read_bytes(), 9))


def test_the_script_is_small_and_its_ceiling_only_falls() -> None:
    assert gzipped() <= MOST_BYTES
    assert gzipped() + LEFT_BYTES >= MOST_BYTES or MOST_BYTES == GOAL_BYTES, f"{gzipped()} bytes: lower MOST_BYTES"


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "docs/faq.md",
        "docs/browser.md",
        "docs/decisions/0080-the-browser-script.md",
        "browser/package.json",
    ],
)
def test_the_documents_name_the_size(document: str) -> None:
    assert f"{gzipped() / 1000:.1f} kB" in (BROWSER.parent / document).read_text()


def test_what_is_served_compressed_is_the_script() -> None:
    assert gzip.decompress((DIST / "furrow.js.gz").read_bytes()) == (DIST / "furrow.js").read_bytes()
    assert (DIST / "furrow.js.br").stat().st_size < (DIST / "furrow.js.gz").stat().st_size
    assert {file.name for file in DIST.iterdir()} == FILES


def test_the_script_needs_no_eval_and_names_no_registry() -> None:
    script = (DIST / "furrow.js").read_text()
    assert not re.search(r"\beval\(|new Function|document\.cookie|\.innerHTML\s*=", script)
    lock = json.loads((BROWSER / "package-lock.json").read_text())
    assert not any("resolved" in package for package in lock["packages"].values())


def test_the_committed_files_are_what_the_source_builds(tmp_path: Path) -> None:
    if shutil.which("node") is None or not (BROWSER / "node_modules/esbuild").exists():
        pytest.skip(
            "Node.js or browser/node_modules is missing (`npm ci` in browser/): whether dist/ is current is not checked"
        )
    subprocess.run(["node", "build.mjs", str(tmp_path)], cwd=BROWSER, check=True, capture_output=True, timeout=300)
    # Compressors differ between releases of Node.js: above, their files are compared by what they hold.
    for name in sorted(FILES - {"furrow.js.gz", "furrow.js.br"}):
        assert (tmp_path / name).read_text() == (DIST / name).read_text(), (
            f"dist/{name}: run `npm run build` in browser/"
        )


def test_the_module_can_be_imported_where_there_is_no_page() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip(
            "Node.js is missing (apt-get install nodejs): whether a server can import the module is not checked"
        )
    script = """
      const { furrow, init, session } = await import(process.argv[1]);
      init({ key: "k" });
      furrow.push(["user", "4711"]);
      console.log(JSON.stringify([session(), typeof furrow.version, typeof globalThis.window]));
    """
    ran = subprocess.run(
        [node, "--input-type=module", "--eval", script, (DIST / "index.mjs").as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(ran.stdout) == ["", "string", "undefined"]
    # Within the bundle of an application, that script's address is not the collector's.
    assert "currentScript" not in (DIST / "index.mjs").read_text()
