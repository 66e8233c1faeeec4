"""Give the reader a copy of every lesson, in my-lessons/, and never take an answer away.

    python tools/own_copies.py

A lesson that is not there yet is copied. A copy that the reader has changed stays as it is: if the lesson has changed
since, the new one is placed beside it and a line says so. A copy that nobody has changed is replaced by the new lesson.
my-lessons/.given.json records what was given: delete a copy, and the next run copies the lesson again.
"""

import hashlib
import json
import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
LESSONS = ROOT / "notebooks"
OWN = ROOT / "my-lessons"


def lay_out():
    """Bring my-lessons up to date; returns a line for whatever the reader would not expect."""
    OWN.mkdir(exist_ok=True)
    record, lines = OWN / ".given.json", []
    try:
        given = json.loads(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        given = {}
    try:
        for lesson in sorted(path for path in LESSONS.rglob("*") if path.is_file()):
            name = lesson.relative_to(LESSONS)
            if not any(part.startswith(".") for part in name.parts) and lesson.suffix != ".part":
                lines += give(lesson, name, given)
    finally:
        place(json.dumps(given, indent=1).encode(), record)
    return lines


def give(lesson, name, given):
    """Copy one lesson unless the reader has it; `given` maps each copy to its lesson and its state when given."""
    content = lesson.read_bytes()
    try:
        taught, as_built = teaches(content, lesson)
    except ValueError:
        return [f"notebooks/{name} is no longer a notebook (a conflict in git?): git checkout notebooks/{name}"]
    copies = {copy: as_given for copy, as_given in given.items() if as_given["lesson"] == name.as_posix()}
    copies = {copy: as_given for copy, as_given in copies.items() if (OWN / copy).exists()}
    if any(as_given["taught"] == taught for as_given in copies.values()):
        return []
    untouched = [copy for copy in copies if digest((OWN / copy).read_bytes().hex()) == copies[copy]["bytes"]]
    copy = Path(untouched[-1]) if untouched else free(name, content)
    (OWN / copy).parent.mkdir(exist_ok=True)
    place(content, OWN / copy)
    # What somebody typed into the built lesson is an answer too: such a copy is never replaced.
    as_given = digest(content.hex()) if as_built else None
    given[copy.as_posix()] = {"lesson": name.as_posix(), "taught": taught, "bytes": as_given}
    if copy == name:
        return []
    return [f"my-lessons/{name} stays as you left it; the lesson has changed: the new one is my-lessons/{copy}"]


def teaches(content, path):
    """A digest of what a lesson says and asks, and whether that is as it was built; ValueError if it is no notebook."""
    if path.suffix != ".ipynb":
        return digest(content.hex()), True
    notebook = json.loads(content)
    taught = digest(*cells_of(notebook))
    return taught, notebook["metadata"].get("headlab", {}).get("its cells") == taught


def cells_of(notebook):
    """What the master says of each cell. All other metadata comes from the program in which somebody opened it."""
    return [
        (cell["cell_type"], cell.get("id"), "".join(cell["source"]), sorted(cell["metadata"].get("tags", [])))
        for cell in notebook["cells"]
    ]


def digest(*parts):
    """The first digits of a SHA-256."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def free(name, content):
    """The first name that no other file has: the lesson's own, or with a number."""
    number, copy = 1, name
    while (OWN / copy).exists() and (OWN / copy).read_bytes() != content:
        number += 1
        copy = name.with_name(f"{name.stem}-{number}{name.suffix}")
    return copy


def place(content, path):
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        print("\n".join(["Your copies of the lessons are in my-lessons.", *lay_out()]))
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"my-lessons: {error}. Your answers are unchanged. Repair this, then run make lab again."
        ) from None
