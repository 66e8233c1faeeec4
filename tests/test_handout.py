"""The students' copy of the course: no solution in any file or output, and a course that works by itself."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import handout  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder and the archive."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(handout, "OUT", tmp_path_factory.mktemp("out"))
        return handout.make()


@pytest.fixture
def copy(made, tmp_path):
    """A copy of what students get but for the package, to spoil."""
    return Path(shutil.copytree(made[0], tmp_path / "headlab", ignore=shutil.ignore_patterns("headlab")))


def blocks():
    """The lines of every solution block of every master, read without the tool's own functions."""
    for master in sorted((ROOT / "lessons").glob("[0-9]*.py")):
        inside, lines = False, []
        for line in master.read_text(encoding="utf-8").splitlines():
            if "### END SOLUTION" in line:
                yield master.stem, lines
                inside, lines = False, []
            elif inside:
                lines.append(line.strip())
            inside |= "### BEGIN SOLUTION" in line


def texts(path):
    """What a file says, with the lines of a notebook's cells and outputs as they are shown."""
    text = path.read_bytes().decode("utf-8", "replace")
    if path.suffix == ".ipynb":
        text = "\n".join(handout.strings(json.loads(text)))
    return [line.strip() for line in text.splitlines()]


def test_students_do_not_get_the_grader(made):
    assert (ROOT / "headlab" / "grading").is_dir() and not (made[0] / "headlab" / "grading").exists()
    assert not [path for path in made[0].glob("tests/*.py") if "headlab.grading" in path.read_text(encoding="utf-8")]


def test_no_solution_block_is_in_any_file_or_output(made):
    found = list(blocks())
    assert len(found) >= 25
    for path in (path for path in made[0].rglob("*") if path.is_file()):
        if path.relative_to(made[0]).parts[0] == "headlab":
            continue
        lines = texts(path)
        for lesson, block in found:
            places = [place for place, line in enumerate(lines) if line == block[0]]
            assert not any(lines[place : place + len(block)] == block for place in places), f"{path}: {lesson}, {block}"


def test_what_its_tests_read_is_in_it(made):
    """A file of tests/ stays behind only where it is a teacher's test, or what such a test reads."""
    files = {path for path in (ROOT / "tests").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    missing = {path for path in files if not (made[0] / path.relative_to(ROOT)).exists()}
    tables = {path for path in missing if path.suffix == ".csv"}
    readers = {
        path
        for path in files
        if path.suffix == ".py" and any(table.name in path.read_text("utf-8") for table in tables)
    }
    assert readers <= handout.teachers_tests()
    assert {path for path in missing - tables if path.parent.name != "answers"} == handout.teachers_tests()


def test_nothing_of_the_teachers_is_in_it_and_nothing_points_there(made):
    folder, archive = made
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert len([name for name in names if re.fullmatch(r"notebooks/\d\d_\w+\.ipynb", name)]) == len(
        list((ROOT / "lessons").glob("[0-9]*.py"))
    )
    forbidden = re.compile(r"\.git/|solutions|my-lessons|lessons/.*\.py|benchmarks|\.ci|__pycache__|egg-info")
    assert not [name for name in names if forbidden.search(name)]
    with zipfile.ZipFile(archive) as packed:
        assert {name for name in packed.namelist() if not name.endswith("/")} == {f"headlab/{name}" for name in names}
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "For teachers" not in readme and "solutions" not in readme
    for target in re.findall(r"\]\(([^)#]+)\)", readme):
        assert "://" in target or (folder / target).exists(), target
    first = (folder / "notebooks" / "01_causal_masking.ipynb").read_text(encoding="utf-8")
    assert "Try first; your teacher has the solutions." in first and "solutions/" not in first
    assert handout.leaks(folder) == []


SOLVED = "position = torch.arange(n_tokens)\n    return position[:, None] >= position[None, :]\n"


def in_a_source(notebook):
    notebook["cells"][-1]["source"] = ["def f(n_tokens):\n", *("    " + SOLVED).splitlines(keepends=True)]


def with_other_comments_and_layout(notebook):
    notebook["cells"][-1]["source"] = [SOLVED.replace("\n    ", "  # of each token\n\n  ")]


def in_an_output(notebook):
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code[-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": SOLVED.splitlines(keepends=True)}]


def in_html(notebook):
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code[-1]["outputs"] = [
        {"output_type": "display_data", "metadata": {}, "data": {"text/html": f"<pre>{SOLVED}</pre>"}}
    ]


@pytest.mark.parametrize("plant", [in_a_source, with_other_comments_and_layout, in_an_output, in_html])
def test_a_solution_in_a_notebook_is_found(copy, plant):
    path = copy / "notebooks" / "02_splitting_qkv.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    plant(notebook)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    (found,) = handout.leaks(copy)
    assert found.startswith("notebooks/02_splitting_qkv.ipynb holds '01_causal_masking: position")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tests/test_masking.py", f"def f(n_tokens):\n    {SOLVED}"),
        ("README.md", "They are in notebooks/solutions/."),
        ("tests/a.py", "### BEGIN SOLUTION"),
        ("lessons/01_causal_masking.py", ""),
        ("notebooks/solutions/01.txt", ""),
        (".git/config", ""),
    ],
)
def test_a_solution_or_a_teachers_file_is_found(copy, name, text):
    (copy / name).parent.mkdir(exist_ok=True, parents=True)
    (copy / name).write_text(text)
    assert any(found.startswith(name) for found in handout.leaks(copy))


def test_where_a_solution_would_leak_nothing_is_made_and_what_was_there_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(handout, "OUT", tmp_path)
    (tmp_path / "headlab").mkdir()
    monkeypatch.setattr(handout, "copy", lambda folder: folder.mkdir())
    monkeypatch.setattr(handout, "leaks", lambda folder: ["a.py holds '01: return'"])
    with pytest.raises(ValueError, match="it would give solutions away: a.py holds"):
        handout.make()
    assert [path.name for path in tmp_path.iterdir()] == ["headlab"]


def test_it_tests_by_itself(made):
    """A quick part of its own tests, all of which can be collected, with the package that it has."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "PYTEST_", "HEADLAB_"))
    }
    options = dict(cwd=made[0], env=clean, capture_output=True, text=True, timeout=240)
    pytest_of = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    collected = subprocess.run([*pytest_of, "--collect-only"], **options)
    assert collected.returncode == 0, collected.stdout[-2000:]
    quick = ["tests/test_masking.py", "tests/test_splitting.py", "tests/test_packaging.py"]
    script = "import headlab, sys; sys.exit(not headlab.__file__.startswith(sys.argv[1]))"
    assert subprocess.run([sys.executable, "-c", script, str(made[0])], **options).returncode == 0
    done = subprocess.run([*pytest_of, *quick], **options)
    assert done.returncode == 0, done.stdout[-2000:]
    plan = subprocess.run(["make", "-n", "lab", "test"], **options)
    assert plan.returncode == 0 and "build_notebooks" not in plan.stdout
    for tool in set(re.findall(r"tools/\w+\.py", plan.stdout)):
        assert (made[0] / tool).exists(), tool
