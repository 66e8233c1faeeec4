"""What was handed in: whose it is, which notebook belongs to the lesson, and its code, whichever program saved it."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from headlab._expect import expect

MOST_BYTES = 200 * 2**20
OTHER_VERSION = "the notebook belongs to another version of the lesson, and was graded by the present one"


@dataclass(frozen=True)
class Submission:
    """One student's notebook of one lesson: its code cells, or, if nothing can be graded, fault: a sentence on why."""

    student: str
    cells: tuple[str, ...] = ()
    digest: str = ""  # of its code
    fault: str = ""
    notes: tuple[str, ...] = ()


def submissions_in(folder, lesson):
    """The Submissions of a folder: one folder for each student, or one notebook for each, named after the student."""
    folder = Path(folder)
    expect(folder.is_dir(), "FOLDER", "a folder with a folder or a notebook for each student", folder)
    students = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    loose = sorted(path for path in folder.glob("*.ipynb"))
    expect(students or loose, "FOLDER", "a folder or a notebook for each student", f"{folder} with neither")
    both = {path.name for path in students} & {path.stem for path in loose}
    expect(not both, "FOLDER", "each student once", f"a folder and a notebook for {len(both)} of them")
    found = [_chosen(path.name, _notebooks(path), lesson) for path in students]
    return found + [_chosen(path.stem, [path], lesson) for path in loose]


def _notebooks(folder):
    paths = sorted(path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    return [path for path in paths if path.is_file()]


def _chosen(student, paths, lesson):
    """The Submission among a student's notebooks: that of the lesson, by its name or by the functions in it."""
    read = {path: read_cells(path) for path in paths}
    by_name = [path for path in paths if path.stem == lesson.stem]
    fitting = by_name or [path for path in paths if _fits(read[path], lesson)] or (paths if len(paths) == 1 else [])
    if not fitting:
        return Submission(student, fault=f"there is no notebook of lesson {lesson.number} among what you handed in")
    digests = {hashlib.sha256("\0".join(read[path][0]).encode()).hexdigest(): path for path in fitting}
    if len(digests) > 1:
        names = ", ".join(path.name for path in fitting)
        return Submission(
            student, fault=f"there are {len(digests)} notebooks of this lesson that differ ({names}): hand in one"
        )
    (digest, path), notes = digests.popitem(), []
    cells, fault, version = read[path]
    if path.stem != lesson.stem:
        notes.append(f"the file is called {path.name} and was graded as {lesson.stem}.ipynb")
    if len(fitting) > 1:
        notes.append("the same notebook was handed in more than once, and counts once")
    if version and version != lesson.version:
        notes.append(OTHER_VERSION)
    return Submission(student, tuple(cells), digest, fault, tuple(notes))


def _fits(read, lesson):
    text = "\n".join(read[0])
    return any(re.search(rf"\b{item.name}\b", text) for item in lesson.items if not item.own)


def read_cells(path):
    """(code cells, fault, version of the lesson) of a notebook file, whichever program saved it."""
    notebook, fault = read_notebook(path)
    code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return code, fault, str(notebook["metadata"].get("headlab", {}).get("version", ""))


def read_notebook(path):
    """(notebook, fault) of a file: a dict with "metadata" and "cells", each with "cell_type", "source" and "metadata".

    If it cannot be read, the notebook is empty and fault says why, in a sentence.
    """
    empty = {"metadata": {}, "cells": []}
    try:
        if path.stat().st_size > MOST_BYTES:
            return empty, f"{path.name} is larger than {MOST_BYTES // 2**20} MB: clear its outputs and hand it in again"
        notebook = json.loads(path.read_text(encoding="utf-8-sig"))
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        metadata = {"headlab": {**notebook.get("metadata", {}).get("headlab", {})}}
        return {"metadata": metadata, "cells": [_cell(cell) for cell in cells]}, ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return empty, f"{path.name} cannot be read as a notebook: open it in JupyterLab, save it and hand it in again"


def _cell(cell):
    """What is needed of a cell, in whichever format it was saved."""
    source = cell.get("source", cell.get("input", ""))
    return {
        "cell_type": str(cell["cell_type"]),
        "source": source if isinstance(source, str) else "".join(source),
        "metadata": {"nbgrader": {**(cell.get("metadata", {}).get("nbgrader") or {})}},
        "outputs": [output for output in cell.get("outputs", []) if isinstance(output, dict)],
    }
