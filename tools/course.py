"""Make an nbgrader course of the masters: course/, with a source and a release of every lesson.

    python tools/course.py [--model mini] [FOLDER]

Exercises become answer cells and graded cells. Lessons 1 to 8 each get a task of the student's own and an open
question; lesson 9, the project, is graded by hand with the rubric in its master. nbgrader then makes the release, which
is searched for solutions. Needs headlab[teach].
"""

import argparse
import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from build_notebooks import IMPORT, REMEDY, read, write
from handout import SENTENCE, held, solutions
from lesson_cells import fold_predictions, state_time
from nbgrader.apps import NbGraderAPI
from traitlets.config import PyFileConfigLoader

from headlab.grading.coursework import grade_id
from headlab.grading.lesson import MASTERS, lesson_of

ROOT = Path(__file__).parents[1]
END = "### END SOLUTION\n"
CONFIG = '''"""nbgrader's settings for headlab; written by tools/course.py."""

from nbgrader.preprocessors import (
    AssignLatePenalties, CheckCellMetadata, LimitOutput, OverwriteCells, OverwriteKernelspec, SaveAutoGrades
)
from headlab.grading.coursework import FeedbackPage, HandedIn, Judge, take_renamed

c = get_config()
c.CourseDirectory.course_id = "headlab"
c.CourseDirectory.max_dir_size = 500_000  # kB, so that an output of 50 MB is no reason to lose a student
c.CourseDirectory.max_file_size = 300_000
c.ClearSolutions.code_stub = {{"python": "...  # your code here"}}  # a check then says "not attempted yet"
c.OverwriteCells.add_missing_cells = True
c.Autograde.exporter_class = HandedIn
c.Autograde.pre_convert_hook = take_renamed
c.Autograde.sanitize_preprocessors = [OverwriteKernelspec, OverwriteCells, CheckCellMetadata]
c.Autograde.autograde_preprocessors = [Judge, LimitOutput, SaveAutoGrades, AssignLatePenalties, CheckCellMetadata]
c.Judge.model = {model!r}
c.GenerateFeedback.exporter_class = FeedbackPage
'''
OWN = """### Your own task

This task is drawn from your name: layer, head, text and question are yours alone, and the right answer is computed when
your work is graded. Write your name exactly as your teacher has it, run the cell, and find the number with what the
lesson has taught. Work on the class's model, {model}."""
OWN_CODE = """from headlab.exercises import own_task

student = "your name"
task = own_task({number}, student)
print(task)

my_answer = (
    ### BEGIN SOLUTION
    0.0
    ### END SOLUTION
)"""
OPEN = """### What does your number say?

*3 points, graded by hand.* Answer in three or four sentences, in the cell below. What does the number of your own task
mean, in words? What do you compare it with, to know whether it is large? And what can it not tell you, since it comes
from one head and one text?

=== BEGIN MARK SCHEME ===
One point each: what the number means, with its unit, or what it is a share or a mean of; a comparison that could have
come out differently (with an even share, the control, the other heads); one limit that a further measurement could
remove.
=== END MARK SCHEME ==="""
ANSWER = "*Your answer:*"
RUBRIC = re.compile(r"^\| \| (\d+) points .*\n(?:\|.*(?:\n|$))+", re.MULTILINE)


def notebook_of(master, model):
    """The source notebook of a master, with nbgrader's marks."""
    cells = jupytext.read(master).cells
    text = "\n\n".join(cell.source for cell in cells)
    cells = [cell for cell in cells if "solution" not in cell.metadata.get("tags", [])]
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = SENTENCE.sub("Try first; your teacher has the solutions.", cell.source)
    number = int(master.name[:2])
    if "### Exercise" not in text:
        cells += _by_hand(f"project-{number}", *_project(text, master.name))
        version = "project"
    else:
        lesson = lesson_of(number)
        points = {item.number: item.points for item in lesson.items}
        cells = [part for cell in cells for part in _split(cell, points)]
        own = f"{number}.own"
        cells.append(nbformat.v4.new_markdown_cell(OWN.format(model=model)))
        cells.append(_marked("code", OWN_CODE.format(number=number), f"answer-{number}-own", solution=True))
        cells.append(_marked("code", 'print("handed in:", my_answer)', grade_id(own), points=points[own]))
        cells += _by_hand(f"open-{number}", 3, OPEN)
        version = lesson.version
    for place, cell in enumerate(cells):
        cell["id"] = f"cell-{place}"
    state_time(cells, master.stem)
    first = next(cell for cell in cells if cell.cell_type == "code" and IMPORT.search(cell.source))
    first.source = REMEDY + first.source
    fold_predictions(cells)
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
        "headlab": {"version": version},
    }
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def _split(cell, points):
    """An exercise's cell as two: the student's, and the graded one, which holds what follows the solution."""
    number = re.search(r"^check\([\"'](\d+\.\d+)[\"']", cell.source, re.MULTILINE)
    if cell.cell_type != "code" or not number or END not in cell.source:
        return [cell]
    answer, check = cell.source.split(END)
    name = number[1].replace(".", "-")
    return [
        _marked("code", answer + END.strip(), f"answer-{name}", solution=True),
        _marked("code", check.strip(), grade_id(number[1]), points=points[number[1]]),
    ]


def _by_hand(name, points, text):
    """A question that a teacher marks, and the cell for its answer."""
    question = _marked("markdown", text, name, points=points, task=True)
    return [question, nbformat.v4.new_markdown_cell(ANSWER)]


def _project(text, name):
    """The points and the text of the cell by which a project is graded, from the rubric in its master."""
    rubric = RUBRIC.search(text)
    if not rubric:
        raise ValueError(
            f"{name}: expected exercises, or a rubric as a table whose head begins '| | 4 points', got neither"
        )
    rows = len(rubric[0].strip().splitlines()) - 2
    told = f"## What is graded\n\nYour whole project, by hand, with a rubric of {rows} rows."
    return int(rubric[1]) * rows, f"{told}\n\n=== BEGIN MARK SCHEME ===\n{rubric[0].strip()}\n=== END MARK SCHEME ==="


def _marked(kind, source, name, points=None, solution=False, task=False):
    """A cell with nbgrader's marks: a student's (solution), a graded one (points), or one graded by hand (task)."""
    marks = {"schema_version": 3, "cell_type": kind, "grade_id": name, "locked": not solution, "solution": solution}
    marks |= {"grade": points is not None and not task, "task": task}
    marks |= {"points": points} if points is not None else {}
    new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    return new(source, metadata={"nbgrader": marks})


def make(folder, model):
    """Write the course's sources and settings, and return the names of its assignments."""
    names = []
    for master in sorted(Path(MASTERS).glob("[0-9][0-9]_*.py")):
        name = f"lesson{int(master.name[:2])}"
        path = folder / "source" / name / f"{master.stem}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        notebook = notebook_of(master, model)
        if read(path) != notebook:
            write(notebook, path)
        names.append(name)
    (folder / "nbgrader_config.py").write_text(CONFIG.format(model=model), encoding="utf-8")
    return names


def release(folder, names):
    """Let nbgrader make the release; ValueError where it fails, or where a release holds a solution."""
    nbgrader = course_api(folder)
    for name in names:
        done = nbgrader.generate_assignment(name, force=True)
        if not done["success"]:
            raise ValueError(f"nbgrader generate_assignment {name}: {done['error'] or done['log'][-300:]}")
    answers = solutions()
    found = [f"{path.name}: {text}" for path in sorted(folder.glob("release/*/*")) for text in held(path, answers)]
    left = re.compile("(BEGIN|END) (SOLUTION|MARK)")
    found += [path.name for path in folder.glob("release/*/*.ipynb") if left.search(path.read_text("utf-8"))]
    if found:
        raise ValueError(f"not to be handed out, since it gives solutions away: {'; '.join(found)}")


def course_api(folder):
    """nbgrader's commands as methods, for the course in a folder."""
    beside = str(Path(sys.executable).parent)  # where nbgrader looks for alembic
    if beside not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([beside, os.environ.get("PATH", "")])
    config = PyFileConfigLoader("nbgrader_config.py", path=str(folder)).load_config()
    config.CourseDirectory.root = str(Path(folder).resolve())
    return NbGraderAPI(config=config)


def main():
    """Make the course that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=ROOT / "course", type=Path)
    parser.add_argument("--model", default="mini", help="what the class works on: mini, gpt2, an id or a folder")
    arguments = parser.parse_args()
    try:
        names = make(arguments.folder, arguments.model)
        release(arguments.folder, names)
    except ValueError as error:
        raise SystemExit(f"course: {error}") from None
    print(f"{arguments.folder}: {len(names)} lessons released in release/; nbgrader's settings in nbgrader_config.py")


if __name__ == "__main__":
    main()
