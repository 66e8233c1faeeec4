"""Coursework from release to export with real nbgrader, and a class that does to a lesson what classes do."""

import csv
import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="nbgrader is not here; pip install 'headlab[teach]'")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import course  # noqa: E402
import planted_class  # noqa: E402

from headlab.cli import main  # noqa: E402
from headlab.grading.coursework import MOST_OUTPUT, _plain_output, repaired  # noqa: E402
from headlab.grading.submissions import OTHER_VERSION, read_notebook  # noqa: E402

# What is done to the file and its cells is nbgrader's matter; what the code does is judged alike without it.
BY_NBGRADER = """
    all-solved nothing-done check-edited cell-deleted cell-twice cell-split vs-code colab old-version copied renamed
    unreadable
""".split()
pytestmark = pytest.mark.filterwarnings("default")  # nbgrader warns of its own ways


def lines_of(table):
    return table.read_text(encoding="utf-8-sig").splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A course of lessons 1 and 9, released."""
    folder = tmp_path_factory.mktemp("teacher") / "course"
    course.make(folder, "mini")
    course.release(folder, ["lesson1", "lesson9"])
    settings = folder / "nbgrader_config.py"
    exchange = folder.parent / "exchange"
    exchange.mkdir(mode=0o777)
    exchange.chmod(0o777)
    kept = f"c.Exchange.root = {str(exchange)!r}\nc.Exchange.cache = {str(folder.parent / 'cache')!r}\n"
    settings.write_text(settings.read_text(encoding="utf-8") + kept, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def students(folder):
    return planted_class.planted(folder / "release" / "lesson1" / planted_class.NAME)


@pytest.fixture(scope="module")
def graded(folder, students):
    """nbgrader's commands after release, collect, autograde and feedback of those in BY_NBGRADER."""
    nbgrader = course.course_api(folder)
    assert nbgrader.release_assignment("lesson1")["success"]
    inbound = folder.parent / "exchange" / "headlab" / "inbound"
    for student in [*BY_NBGRADER, *(name for name in students if not name.isascii())]:
        place = inbound / f"{student}+lesson1+2026-11-01 12:00:00 UTC+x"
        place.mkdir()
        (place / "timestamp.txt").write_text("2026-11-01 12:00:00 UTC")
        for name, content in students[student].files.items():
            (place / name).write_bytes(content)
    assert nbgrader.collect("lesson1")["success"]
    done = nbgrader.autograde("lesson1", "*")
    assert done["success"], done["log"][-2000:]
    assert nbgrader.generate_feedback("lesson1", "*")["success"]
    return nbgrader


def test_a_release_holds_marks_and_no_solution(folder):
    notebook = json.loads((folder / "release" / "lesson1" / planted_class.NAME).read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4 and notebook["nbformat_minor"] >= 5
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    marks = [cell["metadata"]["nbgrader"] for cell in notebook["cells"] if "nbgrader" in cell["metadata"]]
    points = {m["grade_id"]: m["points"] for m in marks if "points" in m}
    exercises = {f"exercise-1-{n}": p for n, p in zip("12345", (1, 3, 3, 3, 4), strict=True)}
    assert points == exercises | {"exercise-1-own": 4, "open-1": 3}
    assert all(m["locked"] for m in marks if "points" in m)
    text = json.dumps(notebook)
    assert "position[:, None] >= position" not in text and "MARK SCHEME" not in text and "solutions/" not in text
    assert "your code here" in text


def test_a_solution_left_in_a_release_is_found(folder, monkeypatch):
    monkeypatch.setattr(course, "solutions", lambda: {"lesson 1: all": "Why does position matter?"})
    monkeypatch.setattr(course, "held", lambda path, answers: [*answers] if path.stem.startswith("01") else [])
    with pytest.raises(ValueError, match="^not to be handed out, .* lesson 1: all$"):
        course.release(folder, [])


def test_the_project_is_graded_by_hand_with_the_rubric_of_its_master(folder):
    name = "09_your_own_project.ipynb"
    source = json.loads((folder / "source" / "lesson9" / name).read_text(encoding="utf-8"))["cells"]
    marked = next("".join(cell["source"]) for cell in source if "nbgrader" in cell["metadata"])
    assert "=== BEGIN MARK SCHEME ===\n| | 4 points" in marked and marked.count("\n| **") == 5
    released = (folder / "release" / "lesson9" / name).read_text(encoding="utf-8")
    assert "MARK SCHEME" not in released
    marks = [c["metadata"]["nbgrader"] for c in json.loads(released)["cells"] if "nbgrader" in c["metadata"]]
    assert [(m["task"], m["points"]) for m in marks] == [(True, 20)]


def test_each_planted_student_gets_what_they_deserve_from_nbgrader(folder, students, graded):
    for student in [*BY_NBGRADER, *(name for name in students if not name.isascii())]:
        assert planted_class.auto_points(graded, student) == students[student].points, student
        (page,) = (folder / "feedback" / student / "lesson1").glob(planted_class.NAME.replace("ipynb", "html"))
        text = page.read_text(encoding="utf-8")
        shown = re.sub("<[^>]+>", "", text)  # without the colours of the code
        assert students[student].said in html.unescape(text), student
        assert "position[:, None] &gt;= position" in shown or student not in ("all-solved", "renamed")
        assert not re.search(r"<script[^>]*src|<link[^>]*href=.?http", text), "the page loads something from elsewhere"


def test_nothing_that_was_handed_in_is_changed(folder, students, graded):
    for student in BY_NBGRADER:
        for name, content in students[student].files.items():
            assert (folder / "submitted" / student / "lesson1" / name).read_bytes() == content


def test_grades_go_to_nbgraders_table_and_to_the_platforms(folder, graded, tmp_path):
    plugin = "--exporter=headlab.grading.coursework.Platforms"
    with graded.gradebook as book:  # a teacher's marks for one student; the others wait for theirs
        for grade in book.find_submission("lesson1", "all-solved").notebooks[0].grades:
            grade.manual_score = 2.0 if grade.auto_score is None else grade.manual_score
            grade.needs_manual_grade = False
        book.db.commit()
    command = [sys.executable, "-m", "nbgrader", "export", plugin, f"--to={tmp_path / 'grades'}"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    rows = list(csv.reader(lines_of(tmp_path / "grades" / "lesson1_moodle.csv")))
    assert rows[0] == ["Username", "lesson1"] and ["all-solved", "20.0"] in rows and ["half-done", ""] not in rows
    assert ["nothing-done", ""] in rows  # not a 0: the open question is not marked yet
    names = {path.name for path in (tmp_path / "grades").iterdir()}
    assert names == {f"lesson{n}_{kind}.csv" for n in (1, 9) for kind in ("blackboard", "canvas", "moodle")}


def test_a_repaired_notebook_has_each_graded_cell_once_and_in_its_place(folder, students, tmp_path):
    import nbformat

    release = nbformat.read(folder / "release" / "lesson1" / planted_class.NAME, as_version=4)
    for student in ("cell-deleted", "cell-twice", "check-edited", "unreadable", "colab", "vs-code"):
        path = tmp_path / "one.ipynb"
        path.write_bytes(students[student].files[planted_class.NAME])
        found = repaired(*[read_notebook(path)[0]], release)
        nbformat.validate(found)
        names = [cell.metadata.nbgrader.grade_id for cell in found.cells if "nbgrader" in cell.metadata]
        wanted = [cell.metadata.nbgrader.grade_id for cell in release.cells if "nbgrader" in cell.metadata]
        assert names == wanted, student


def test_each_planted_student_gets_the_same_without_nbgrader(students, tmp_path, capsys):
    """headlab grade, which stops at nobody's fault, goes on where it was interrupted, and names no one as it goes."""
    planted_class.hand_in(students, tmp_path / "in")
    before = {path: path.read_bytes() for path in (tmp_path / "in").rglob("*.ipynb")}
    out = tmp_path / "out"
    assert main(["grade", str(tmp_path / "in"), "--lesson", "1", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert not any(student in said for student in students)
    rows = {row["student"]: row for row in csv.DictReader(lines_of(out / "grades.csv"))}
    assert rows.keys() == students.keys()
    for student, one in students.items():
        page = html.unescape((out / "feedback" / f"{student}.html").read_text(encoding="utf-8"))
        assert one.said in page, student
        assert (OTHER_VERSION in page) == (student == "old-version"), student
        if student != "unreadable":
            assert int(rows[student]["points"]) == one.points, student
    assert rows["unreadable"]["points"] == "" and "cannot be read" in rows["unreadable"]["remarks"]
    summary = html.unescape((out / "summary.html").read_text(encoding="utf-8"))
    assert re.search("the same code in every solved exercise: [^<]*all-solved, [^<]*copied", summary)
    assert (out / "summary.png").stat().st_size > 5000
    assert before == {path: path.read_bytes() for path in (tmp_path / "in").rglob("*.ipynb")}

    tables = {path.name: path.read_bytes() for path in out.glob("*.csv")}
    lost = sorted((out / "results").iterdir())[0]
    lost.write_text('{"rules": ')  # as after a crash in the middle of another program's writing
    shutil.rmtree(tmp_path / "in" / "endless")
    assert main(["grade", str(tmp_path / "in"), "--lesson", "1", "--out", str(out)]) == 0
    assert f"{len(students) - 2} of {len(students) - 1} were graded before" in capsys.readouterr().out
    again = (out / "grades.csv").read_bytes().splitlines()
    assert again == [line for line in tables["grades.csv"].splitlines() if not line.startswith(b"endless")]


@pytest.mark.parametrize("text", ["so\nlong " * MOST_OUTPUT, ["so\n", "long " * MOST_OUTPUT]])
def test_a_long_output_is_cut_in_both_of_the_forms_that_a_notebook_may_have(text):
    kept = _plain_output({"output_type": "stream", "name": "stdout", "text": text})["text"]
    assert kept.startswith("so\nlong ") and len(kept) == MOST_OUTPUT
