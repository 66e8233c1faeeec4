"""The same grading within nbgrader, with parts that course/nbgrader_config.py puts in the place of nbgrader's own.

nbgrader itself runs a whole notebook in one kernel, in which the student's code meets the hidden tests. Here the
notebook holds nothing hidden: each graded cell shows the verdict of judge.py, and its points.
"""

import re
import shutil
from pathlib import Path

import nbformat
from nbconvert.exporters import HTMLExporter, NotebookExporter
from nbgrader.api import MissingEntry
from nbgrader.plugins import ExportPlugin
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode

from headlab.grading.grade import class_seed
from headlab.grading.judge import judge_cells
from headlab.grading.lesson import lesson_of
from headlab.grading.report import MARKS, as_csv, platforms, write_whole
from headlab.grading.submissions import OTHER_VERSION, read_notebook

LESSON = re.compile(r"lesson(\d+)")  # what the assignments are called
RELEASE = Path("release")  # nbgrader works in the course's folder
SCRIPT = re.compile(r"<script[^>]*\bsrc=[\"']?(?:https?:)?//[^>]*>\s*</script>", re.IGNORECASE)
MOST_OUTPUT = 100_000  # characters of output that are kept of a cell


def grade_id(number):
    """The name of the graded cell of an item; number: such as "1.2" or "1.own"."""
    return f"exercise-{number.replace('.', '-')}"


class HandedIn(NotebookExporter):
    """Reads what a student handed in, whatever was done to it, and repairs it for nbgrader.

    The cells of the release get their nbgrader metadata back, copies of them become plain cells, missing ones are put
    back in their place, and a file that is no notebook becomes an empty notebook.
    """

    def from_filename(self, filename, resources=None, **kwargs):
        """Read the file, repair the notebook and pass it on to the preprocessors."""
        release = nbformat.read(RELEASE / resources["nbgrader"]["assignment"] / Path(filename).name, as_version=4)
        content, fault = read_notebook(Path(filename))
        notebook = repaired(content, release, fault)
        notebook.metadata["headlab"] = notebook.metadata.get("headlab", {}) | {"fault": fault}
        return self.from_notebook_node(notebook, resources=resources, **kwargs)


def repaired(content, release, fault=""):
    """The notebook that nbgrader gets; content: a student's as read_notebook gives it; release: the one handed out."""
    known = {cell.metadata.nbgrader.grade_id: cell for cell in release.cells if "nbgrader" in cell.metadata}
    cells, places = [], {}
    for cell in (_plain_cell(cell) for cell in content["cells"]):
        name = cell.metadata.pop("nbgrader", {}).get("grade_id")
        original = known.get(name)
        if original and name not in places and original.cell_type == cell.cell_type:
            cell.metadata["nbgrader"] = original.metadata.nbgrader
            places[name] = cell
        cells.append(cell)
    before = None
    for name, original in known.items():
        if name not in places:
            places[name] = nbformat.from_dict(original)
            cells.insert(1 + cells.index(before) if before else len(cells), places[name])
        before = places[name]
    if fault:
        cells.insert(0, nbformat.v4.new_markdown_cell(f"**{fault}.**"))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    version = content["metadata"].get("headlab", {}).get("version", "")
    return nbformat.v4.new_notebook(cells=cells, metadata={**release.metadata, "headlab": {"version": str(version)}})


def _plain_cell(cell):
    """A cell of read_notebook's as a cell of nbformat 4."""
    source, metadata = cell["source"], cell["metadata"]
    if cell["cell_type"] != "code":
        return nbformat.v4.new_markdown_cell(source, metadata=metadata)
    outputs = [output for output in map(_plain_output, cell["outputs"]) if output]
    return nbformat.v4.new_code_cell(source, metadata=metadata, outputs=outputs)


def _plain_output(output):
    """A saved output, for the teacher to see; None where it is too long or cannot be read as one."""
    kind = output.get("output_type")
    if kind == "stream":
        text = output.get("text", "")
        text = text if isinstance(text, str) else "".join(text)
        return nbformat.v4.new_output("stream", name="stdout", text=text[:MOST_OUTPUT])
    data = {name: value for name, value in output.get("data", {}).items() if name in ("text/plain", "image/png")}
    if kind in ("display_data", "execute_result") and data and len(str(data)) < 10 * MOST_OUTPUT:
        return nbformat.v4.new_output("display_data", data=data)
    return None


class FeedbackPage(HTMLExporter):
    """nbgrader's feedback without the script that it loads from elsewhere: formulas stay as they were typed."""

    def from_notebook_node(self, nb, resources=None, **kwargs):
        """The page and its resources."""
        page, resources = super().from_notebook_node(nb, resources=resources, **kwargs)
        return SCRIPT.sub("", page), resources


class Judge(NbGraderPreprocessor):
    """Fills each graded cell with the verdict and its points, instead of nbgrader's Execute."""

    model = Unicode("mini", help="What the class works on, as HEADLAB_MODEL names it.").tag(config=True)

    def preprocess(self, notebook, resources):
        """Judge the notebook's code."""
        number = LESSON.fullmatch(resources["nbgrader"]["assignment"])
        graded = {
            c.metadata.nbgrader.grade_id: c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")
        }
        lesson = lesson_of(int(number[1])) if number and graded else None
        if not lesson:
            return notebook, resources
        told = notebook.metadata.get("headlab", {})
        cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        student = resources["nbgrader"]["student"]
        marks = judge_cells(lesson, cells, student, class_seed(Path("seed.txt")), self.model)
        other = told.get("version", lesson.version) not in ("", lesson.version)
        for mark in marks:
            lines = [f"{MARKS[mark.status]} {told.get('fault') or mark.message}"]
            lines += [f"Note: {note}." for note in mark.notes]
            if other:
                lines.append(f"Note: {OTHER_VERSION}.")
            points = nbformat.v4.new_output(
                "execute_result", data={"text/plain": str(float(mark.points))}, execution_count=1
            )
            cell = graded.get(grade_id(mark.number))
            if cell is not None:
                cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="\n".join(lines) + "\n"), points]
        return notebook, resources


def take_renamed(assignment, student, notebooks):
    """If a student has renamed the notebook, put a copy beside it under the name that nbgrader knows.

    notebooks: the paths of the student's notebooks, to which the copy's is added.
    """
    released = sorted((RELEASE / assignment).glob("*.ipynb"))
    for wanted in released:
        others = [Path(path) for path in notebooks if Path(path).name not in {path.name for path in released}]
        folders = {Path(path).parent for path in notebooks}
        if len(others) == 1 and all(Path(path).name != wanted.name for path in notebooks):
            copy = folders.pop() / wanted.name
            shutil.copyfile(others[0], copy)
            notebooks.append(str(copy))


class Platforms(ExportPlugin):
    """Tables of every assignment for Moodle, Canvas and Blackboard, in the folder that --to names (else grades/).

    A student whose work still has to be marked by hand has no total yet.
    """

    def export(self, gradebook):
        """Write them."""
        out = Path(self.to or "grades")
        out.mkdir(exist_ok=True)
        for assignment in gradebook.assignments:
            totals = [(student.id, _total(gradebook, assignment.name, student.id)) for student in gradebook.students]
            for name, rows in platforms(assignment.name, assignment.max_score, totals).items():
                write_whole(out / f"{assignment.name}_{name}", as_csv(rows))


def _total(gradebook, assignment, student):
    try:
        submission = gradebook.find_submission(assignment, student)
    except MissingEntry:
        return ""
    return "" if submission.needs_manual_grade else submission.score
