"""The notebook builder: what the reader gets, what stays the same, and what the check finds."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import build_notebooks  # noqa: E402

MASTER = """# %% [markdown]
# # A lesson

# %%
x = 2
print(x)


# %% tags=["exercise"]
def double(x):
    ### BEGIN SOLUTION
    y = 2 * x
    return y
    ### END SOLUTION


print(double(3))

# %% [markdown] tags=["solution"]
# Why two.
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one lesson in a folder of its own; returns the lesson's master."""
    (tmp_path / "lessons").mkdir()
    monkeypatch.setattr(build_notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(build_notebooks, "NOTEBOOKS", tmp_path / "notebooks")
    master = tmp_path / "lessons" / "01_lesson.py"
    master.write_text(MASTER)
    return master


def run_builder(monkeypatch, *arguments):
    """The builder's exit code."""
    monkeypatch.setattr(sys, "argv", ["build_notebooks.py", *arguments])
    with pytest.raises(SystemExit) as stopped:
        build_notebooks.main()
    return stopped.value.code


def sources(notebook):
    return [cell.source for cell in notebook.cells]


def test_the_student_gets_a_stub_and_the_solution_is_apart(course):
    student, solution = build_notebooks.notebooks_of(course).values()
    assert sources(student)[2] == "def double(x):\n    ...  # your code here\n\n\nprint(double(3))"
    assert sources(solution)[2] == "def double(x):\n    y = 2 * x\n    return y\n\n\nprint(double(3))"
    assert len(student.cells) == 3 and sources(solution)[3] == "Why two."
    for notebook in (student, solution):
        assert not any("SOLUTION" in source for source in sources(notebook))


def test_ids_stay_when_another_cell_changes(course):
    before = [cell.id for cell in build_notebooks.notebook_of(course, solutions=False).cells]
    course.write_text(MASTER.replace("x = 2", "x = 3"))
    after = [cell.id for cell in build_notebooks.notebook_of(course, solutions=False).cells]
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True]
    assert len(set(before)) == 3


def test_a_build_runs_both_and_its_check_passes(course, monkeypatch, capsys):
    assert run_builder(monkeypatch) == 0
    assert capsys.readouterr().out == "notebooks/01_lesson.ipynb: ok\nnotebooks/solutions/01_lesson.ipynb: ok\n"
    notebooks = course.parents[1] / "notebooks"
    student = nbformat.read(notebooks / "01_lesson.ipynb", 4)
    solution = nbformat.read(notebooks / "solutions" / "01_lesson.ipynb", 4)
    assert [cell.outputs[0].text for cell in student.cells[1:]] == ["2\n", "None\n"]
    assert solution.cells[2].outputs[0].text == "6\n"
    nbformat.validate(student)
    assert "widgets" not in student.metadata and not any("execution" in cell.metadata for cell in student.cells)
    first = (notebooks / "01_lesson.ipynb").read_bytes()
    assert run_builder(monkeypatch, "01") == 0
    assert (notebooks / "01_lesson.ipynb").read_bytes() == first


@pytest.fixture
def built(course, monkeypatch):
    run_builder(monkeypatch)
    return course


def edit(master, change):
    """Change the student's saved notebook."""
    path = master.parents[1] / "notebooks" / "01_lesson.ipynb"
    notebook = nbformat.read(path, 4)
    change(notebook)
    nbformat.write(notebook, path)


def other_source(notebook):
    notebook.cells[1].source = "x = 3\nprint(x)"


def other_metadata(notebook):
    notebook.metadata["widgets"] = {}


def not_run(notebook):
    notebook.cells[1].execution_count = None


def an_error(notebook):
    notebook.cells[1].outputs = [nbformat.v4.new_output("error", ename="NameError", evalue="no x", traceback=[])]


def on_stderr(notebook):
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", name="stderr", text="a warning")]


def a_path(notebook):
    notebook.cells[1].outputs[0].text = f"{Path.home()}/models"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_source, "differs from its master"),
        (other_metadata, "differs from its master"),
        (not_run, "was not run once from top to bottom"),
        (an_error, "holds an error or a warning: 'no x'"),
        (on_stderr, "holds an error or a warning: 'a warning'"),
        (a_path, "holds a path of this machine"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_check_finds(built, monkeypatch, capsys, change, said):
    edit(built, change)
    capsys.readouterr()
    assert run_builder(monkeypatch, "--check") == 1
    assert capsys.readouterr().out.startswith(f"notebooks/01_lesson.ipynb: {said}")


def test_the_check_finds_a_changed_master_and_a_missing_notebook(built, monkeypatch, capsys):
    built.write_text(MASTER.replace("Why two", "Why not"))
    (built.parents[1] / "notebooks" / "01_lesson.ipynb").unlink()
    capsys.readouterr()
    assert run_builder(monkeypatch, "--check") == 1
    student, solution = capsys.readouterr().out.splitlines()
    assert student.endswith("is not built") and solution.endswith("differs from its master")


def test_a_name_that_is_no_lesson(course, monkeypatch):
    assert run_builder(monkeypatch, "99") == "names: expected the start of a file name in lessons/, got ['99']"


def test_the_builder_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "tools/build_notebooks.py", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "--check" in done.stdout
