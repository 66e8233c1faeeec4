"""The notebook builder: what the reader gets, what stays the same, and what the check finds."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

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


def make_course(folder, monkeypatch):
    """A course of one lesson in this folder, which the builder then works on; returns the lesson's master."""
    for name in ("lessons", "headlab"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "headlab" / "scores.py").write_text("")
    (folder / "constraints.txt").write_text("torch==2.13.0\n")
    monkeypatch.setattr(build_notebooks, "ROOT", folder)
    monkeypatch.setattr(build_notebooks, "NOTEBOOKS", folder / "notebooks")
    monkeypatch.setattr(build_notebooks, "OWN", folder / "my-lessons")
    master = folder / "lessons" / "01_lesson.py"
    master.write_text(MASTER)
    return master


@pytest.fixture
def course(tmp_path, monkeypatch):
    return make_course(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def built_once(tmp_path_factory):
    """The notebooks of the course, built."""
    folder = tmp_path_factory.mktemp("course")
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_course(folder, monkeypatch)
        run_builder(monkeypatch)
    return folder / "notebooks"


@pytest.fixture
def built(course, built_once):
    shutil.copytree(built_once, course.parents[1] / "notebooks")
    return course


def run_builder(monkeypatch, *arguments):
    """The builder's exit code; the variables that it sets are gone again."""
    monkeypatch.setattr(sys, "argv", ["build_notebooks.py", *arguments])
    before = dict(os.environ)
    try:
        with pytest.raises(SystemExit) as stopped:
            build_notebooks.main()
    finally:
        os.environ.clear()
        os.environ.update(before)
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
    said = capsys.readouterr().out
    assert "notebooks/01_lesson.ipynb: building (there is none)\n" in said
    assert re.search(r"^notebooks/01_lesson.ipynb: built in \d+ s, ok$", said, re.MULTILINE)
    assert re.search(r"^notebooks/solutions/01_lesson.ipynb: built in \d+ s, ok$", said, re.MULTILINE)
    notebooks = course.parents[1] / "notebooks"
    student = nbformat.read(notebooks / "01_lesson.ipynb", 4)
    solution = nbformat.read(notebooks / "solutions" / "01_lesson.ipynb", 4)
    assert [cell.outputs[0].text for cell in student.cells[1:]] == ["2\n", "None\n"]
    assert solution.cells[2].outputs[0].text == "6\n"
    nbformat.validate(student)
    assert "widgets" not in student.metadata and not any("execution" in cell.metadata for cell in student.cells)
    assert not list(notebooks.rglob("*.part"))


UNSTEADY = """# %%
import matplotlib.pyplot as plt
import torch

torch.manual_seed(0)
x = torch.randn(4, 1_000_000)
print(torch.get_num_threads(), hash("a"), x.sum().item(), x.var().item())
plt.plot(torch.randn(20).cumsum(0))
plt.show()

# %% tags=["nbval-ignore-output"]
import time

print(time.perf_counter_ns())
"""


def test_a_second_build_saves_the_same_bytes_with_pictures_and_measurements(course, monkeypatch):
    course.write_text(UNSTEADY)
    path = course.parents[1] / "notebooks" / "01_lesson.ipynb"
    students = build_notebooks.notebook_of
    monkeypatch.setattr(build_notebooks, "notebooks_of", lambda master: {path: students(master, solutions=False)})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert run_builder(monkeypatch) == 0
    first = path.read_bytes()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert run_builder(monkeypatch, "--force") == 0
    assert path.read_bytes() == first
    course.write_text(UNSTEADY.replace("print(time", "print(0, time"))
    assert run_builder(monkeypatch) == 0
    before, after = nbformat.reads(first.decode(), 4), nbformat.read(path, 4)
    assert after.cells[0] == before.cells[0] and after.cells[1].outputs[0].text.startswith("0 ")


def edit(master, change):
    """Change the student's saved notebook."""
    path = master.parents[1] / "notebooks" / "01_lesson.ipynb"
    notebook = nbformat.read(path, 4)
    change(notebook)
    nbformat.write(notebook, path)


def other_source(notebook):
    notebook.cells[1].source = "x = 3\nprint(x)"


def other_tags(notebook):
    notebook.cells[2].metadata["tags"] = []


def saved_widgets(notebook):
    notebook.metadata["widgets"] = {}


def an_answer_in_sight(notebook):
    notebook.cells[1].metadata["jupyter"] = {"outputs_hidden": True}


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
        (other_tags, "differs from its master"),
        (saved_widgets, "holds the state of widgets"),
        (an_answer_in_sight, "shows '2' of a folded output"),
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
    assert f"notebooks/01_lesson.ipynb: {said}" in capsys.readouterr().out


def test_the_check_finds_a_changed_master_and_a_missing_notebook(built, monkeypatch, capsys):
    built.write_text(MASTER.replace("Why two", "Why not"))
    (built.parents[1] / "notebooks" / "01_lesson.ipynb").unlink()
    capsys.readouterr()
    assert run_builder(monkeypatch, "--check") == 1
    student, solution = sorted(capsys.readouterr().out.splitlines())
    assert student.endswith("is not built") and solution.endswith("differs from its master")


def what_jupyterlab_writes(notebook):
    """What JupyterLab 4.6 and VS Code leave behind when somebody has only looked at a notebook."""
    notebook.metadata["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    notebook.metadata["language_info"] |= {"codemirror_mode": {"name": "ipython", "version": 3}, "version": "3.12.1"}
    notebook.metadata["toc-autonumbering"] = False
    notebook.cells[0].metadata |= {"editable": True, "slideshow": {"slide_type": ""}, "jp-MarkdownHeadingCollapsed": 1}
    notebook.cells[1].metadata |= {"collapsed": True, "scrolled": True, "trusted": True, "vscode": {"languageId": "py"}}
    notebook.cells[2].metadata |= {
        "jupyter": {"outputs_hidden": True},
        "execution": {"iopub.status.busy": "2026-01-01"},
    }


def test_what_a_viewer_writes_by_itself_is_no_difference_and_no_reason_to_build(built, monkeypatch, capsys):
    path = built.parents[1] / "notebooks" / "01_lesson.ipynb"
    edit(built, what_jupyterlab_writes)
    looked_at = path.read_bytes()
    capsys.readouterr()
    assert run_builder(monkeypatch, "--check") == 0
    assert run_builder(monkeypatch) == 0
    assert "nothing has changed, ok" in capsys.readouterr().out
    assert path.read_bytes() == looked_at


def an_answer(notebook):
    notebook.cells[2].source = notebook.cells[2].source.replace("...", "return 2 * x")


def other_outputs(notebook):
    notebook.cells[1].outputs[0].text = "of another model"


STUDENT, SOLUTION = "notebooks/01_lesson.ipynb", "notebooks/solutions/01_lesson.ipynb"


@pytest.mark.parametrize(
    ("change", "built_again"),
    [
        (lambda master: None, {}),
        (lambda master: master.write_text(MASTER.replace("print(x)", "print(x )")), dict.fromkeys([STUDENT, SOLUTION])),
        (lambda master: master.write_text(MASTER.replace("y = 2 * x", "y = x + x")), {SOLUTION: "its cells"}),
        (
            lambda master: (
                (master.parents[1] / "headlab" / "data").mkdir()
                or (master.parents[1] / "headlab" / "data" / "mini.bin").write_bytes(b"1")
            ),
            dict.fromkeys([STUDENT, SOLUTION], "headlab"),
        ),
        (
            lambda master: (master.parents[1] / "constraints.txt").write_text("torch==2.14.0\n"),
            dict.fromkeys([STUDENT, SOLUTION], "the lock"),
        ),
        (lambda master: edit(master, an_answer), {STUDENT: "the built notebook"}),
        (lambda master: edit(master, other_outputs), {STUDENT: "its outputs"}),
        (
            lambda master: (master.parents[1] / STUDENT).write_text("<<<<<<< HEAD\n{}\n=======\n"),
            {STUDENT: "there is none"},
        ),
    ],
    ids=["nothing", "a cell", "a solution", "data", "lock", "an answer", "outputs", "a conflict"],
)
def test_only_what_changed_is_built_again_and_the_reason_is_said(built, monkeypatch, capsys, change, built_again):
    monkeypatch.setattr(build_notebooks, "run", lambda notebook, folder: None)
    change(built)
    capsys.readouterr()
    run_builder(monkeypatch)
    said = re.findall(r"^(\S+): building \((.*)\)$", capsys.readouterr().out, re.MULTILINE)
    assert sorted(path for path, _ in said) == sorted(built_again)
    assert all(built_again[path] in (None, reason) for path, reason in said)


def test_this_tool_is_an_ingredient_and_compiled_files_are_none(course, monkeypatch, tmp_path):
    before = build_notebooks.ingredients()
    (course.parents[1] / "headlab" / "__pycache__").mkdir()
    (course.parents[1] / "headlab" / "__pycache__" / "scores.cpython-311.pyc").write_bytes(b"1")
    (course.parents[1] / "headlab" / "scores.py").write_bytes(b"")
    assert build_notebooks.ingredients() == before
    for changed in build_notebooks.TOOL:
        for name in build_notebooks.TOOL:
            (tmp_path / name).write_bytes((ROOT / "tools" / name).read_bytes() + b"#" * (name == changed))
        monkeypatch.setattr(build_notebooks, "__file__", str(tmp_path / "build_notebooks.py"))
        assert build_notebooks.ingredients()["the build tool"] != before["the build tool"]


def test_an_answer_typed_into_a_built_notebook_is_kept(built, monkeypatch, capsys):
    edit(built, an_answer)
    capsys.readouterr()
    assert run_builder(monkeypatch) == 0
    kept = re.search(r"somebody edited it; kept as (\S+)", capsys.readouterr().out)[1]
    assert "return 2 * x" in (built.parents[1] / kept).read_text()
    assert "return 2 * x" not in (built.parents[1] / STUDENT).read_text()
    assert kept.startswith("my-lessons/01_lesson-")


def test_a_build_that_fails_leaves_the_notebook_as_it_was(built, monkeypatch):
    path = built.parents[1] / STUDENT
    before = path.read_bytes()

    def no_space(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="No space"):
        run_builder(monkeypatch, "--force")
    assert path.read_bytes() == before and not list(path.parent.rglob("*.part"))


def test_a_kernel_without_headlab_is_told_what_to_do(course):
    course.write_text("# %%\nimport math\n\nfrom headlab.masking import softmax\n\n# %%\nimport headlab.scores\n")
    notebook = build_notebooks.notebook_of(course, solutions=False)
    hide = nbformat.v4.new_code_cell("import sys; sys.modules['headlab'] = None")
    with pytest.raises(CellExecutionError) as stopped:
        build_notebooks.run(nbformat.v4.new_notebook(cells=[hide, *notebook.cells]), course.parent)
    assert "Choose .venv as the kernel or run `make lab`" in str(stopped.value)
    assert [build_notebooks.REMEDY in cell.source for cell in notebook.cells] == [True, False]


@pytest.mark.parametrize("master", sorted((ROOT / "lessons").glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_every_lesson_begins_with_the_remedy(master):
    code = [c for c in build_notebooks.notebook_of(master, solutions=False).cells if c.cell_type == "code"]
    assert code[0].source.startswith(build_notebooks.REMEDY)


def test_a_name_that_is_no_lesson(course, monkeypatch):
    assert run_builder(monkeypatch, "99") == "names: expected the start of a file name in lessons/, got ['99']"


def test_the_builder_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "tools/build_notebooks.py", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "--check" in done.stdout
