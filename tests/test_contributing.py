"""CONTRIBUTING.md, CHANGELOG.md and CITATION.cff say what is so: paths, commands, modules, and one version."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import headlab

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", GUIDE)
RULES = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
TARGETS = {target for rule in RULES for target in rule.split()}


def paths():
    """What looks like a path in the guide, in its table, its commands and its links."""
    words = " ".join([*CODE, *re.findall(r"\]\(([^)]+)\)", GUIDE)]).split()
    return {
        word for word in words if re.search(r"/|\.(py|md|yml|toml|cff|csv)$", word) and not word.startswith(".venv")
    }


def test_every_path_is_there():
    assert len(paths()) > 40
    assert {path for path in paths() if not (ROOT / path).exists()} == set()


def test_every_command_is_one():
    commands = {code.split()[1] for code in CODE if code.startswith("make ")}
    assert len(commands) >= 12 and commands <= TARGETS
    assert all(command in ("pytest", "pip", "build") for command in re.findall(r"python -m (\w+)", GUIDE))


@pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")
def test_make_help_lists_every_command():
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1].split()
    said = subprocess.check_output(["make", "--silent", "help"], cwd=ROOT, text=True)
    listed = re.findall(r"^  make ([a-z-]+) +\w.+$", said, re.MULTILINE)
    assert sorted(listed) == sorted(target for target in phony if not target.startswith("ready-"))


def test_every_line_of_the_table_has_a_test_and_every_module_is_in_the_drawing():
    table = re.findall(r"^\| (?!I want|---).+$", GUIDE, re.MULTILINE)
    assert len(table) >= 10
    for line in table:
        tests = re.findall(r"`(tests/test_\w+\.py)`", line.rsplit("|", 2)[1])
        assert tests, line
    drawing = GUIDE.partition("## How the code is arranged")[2].partition("## Where")[0]
    modules = {path.stem for path in (ROOT / "headlab").glob("[a-z]*.py")} | {"explorers", "exercises"}
    around = {"cli", "doctor", "hub_errors", "lessons", "model_folder"}  # of the command line, and of models
    assert {name for name in modules if not re.search(rf"\b{name}\b", drawing)} <= around


def test_there_is_one_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert headlab.__version__ == citation["version"] == version
    assert f"headlab, version {version}: " in (ROOT / "README.md").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)$", changes, re.MULTILINE)[1] == version
    assert citation.keys() >= {"cff-version", "message", "title", "authors", "license"}
