"""The guides are true as far as they can be executed: options, examples, labels, configuration, names of files."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from core.engine_settings import read_engine_settings
from furrow import example_files
from furrow.cli.files import read_labels
from tests.e2e.installation import FURROW, environment
from tests.unit.scripts.test_docs import ROOT, USER_PAGES, text

SECTIONS = dict(re.findall(r"^##+ `furrow ([\w -]+)`\n(.*?)(?=^##+ `furrow|\Z)", text("docs/commands.md"), re.M | re.S))


def blocks(page: str, language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(f"docs/{page}"), re.M | re.S)


def commands(content: str) -> list[list[str]]:
    """The words of each `furrow …` in code, in blocks and between ticks; `…` and what a person puts in stay words."""
    code = "\n".join([*re.findall(r"^```\n(.*?)^```$", content, re.M | re.S), *re.findall(r"`([^`\n]+)`", content)])
    lines = re.findall(r"(?:^|bin/|\$\()furrow ([^#\n]+)", code, re.M)
    return [shlex.split(line.replace('"…"', "…"), comments=False) for line in lines if line.count("'") % 2 == 0]


@pytest.mark.parametrize("page", USER_PAGES, ids=lambda page: page.name)
def test_every_option_that_is_shown_exists(page: Path) -> None:
    for words in commands(page.read_text()):
        name = " ".join(words[:2]) if " ".join(words[:2]) in SECTIONS else words[0]
        if name not in SECTIONS:
            continue  # test_docs says so
        options = {re.split(r"[=\]]", word)[0] for word in words if word.startswith("--") and len(word) > 2}
        known = set(re.findall(r"^\* `(--[\w-]+)", SECTIONS[name], re.M)) | set(
            re.findall(r" / (--[\w-]+)", SECTIONS[name])
        )
        assert options <= known, (page.name, words)


@pytest.mark.parametrize("page", USER_PAGES, ids=lambda page: page.name)
def test_every_example_that_is_named_is_shipped(page: Path) -> None:
    assert set(re.findall(r"examples/([\w-]+\.\w+)", page.read_text())) <= set(example_files.list_example_names())


def test_the_quick_start_names_the_sessions_that_are_there() -> None:
    lines = (example_files.DIRECTORY / "checkout.jsonl").read_text().splitlines()
    sessions = {json.loads(line)["sessionId"] for line in lines}
    assert len(sessions) == 13
    assert set(re.findall(r"`(shop-[\w-]+)`", text("docs/quick-start.md"))) <= sessions


def test_the_steps_of_tuning_run_on_the_examples(tmp_path: Path) -> None:
    (labels,) = blocks("tuning.md", "jsonl")
    (config,) = blocks("tuning.md", "toml")
    (tmp_path / "labels.jsonl").write_text(labels)
    (tmp_path / "new.toml").write_text(config)
    assert len(read_labels(tmp_path / "labels.jsonl")) == 2
    assert read_engine_settings(tmp_path / "new.toml")
    for more in ([], ["--config", "new.toml"]):
        told = subprocess.run(
            [*FURROW, "evaluate", "examples/checkout.jsonl", "labels.jsonl", *more, "--json"],
            capture_output=True,
            text=True,
            env=environment(),
            cwd=tmp_path,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["falsePositives"] == 0
        assert json.loads(told.stdout)["missed"] == []


def test_every_file_of_deploy_is_described_and_the_other_way_round() -> None:
    described = text("docs/deploying.md") + text("docs/streams/otlp.md")
    named = set(re.findall(r"`(?:deploy/)?((?:systemd|nginx|caddy|helm)/[\w./-]+|otel-collector\.yaml)`", described))
    assert all((ROOT / "deploy" / name).exists() for name in named)
    files = {str(path.relative_to(ROOT / "deploy")) for path in (ROOT / "deploy").rglob("*") if path.is_file()}
    assert {file for file in files if not any(file == name or file.startswith(f"{name}/") for name in named)} == set()
