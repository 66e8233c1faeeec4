"""Where the course's notebooks are, and copies of them for the reader: `headlab lessons FOLDER`."""

import os
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent


def copy_lessons(folder):
    """Copy every lesson, and its solutions, to a folder that is created if need be; a file that is there stays.

    Returns (names of the lessons copied, names of those that stay), in their order. Raises OSError in one line where
    the lessons cannot be found or a copy cannot be written.
    """
    folder = Path(folder)
    copied, stay = [], []
    try:
        for lesson in find_lessons():
            (copied if _copy(lesson, folder) else stay).append(lesson.name)
            solutions = lesson.parent / "solutions" / lesson.name
            if solutions.exists():  # a hand-out has none
                _copy(solutions, folder / "solutions")
    except OSError as error:
        raise OSError(f"{folder}: expected a folder that can be written, got: {error.strerror or error}") from error
    return copied, stay


def find_lessons():
    """The paths of the notebooks: beside the package in a checkout, else where the wheel has put them."""
    checkout = sorted((HERE.parent / "notebooks").glob("[0-9]*.ipynb"))
    if checkout:
        return checkout
    files = metadata.files("headlab") or []
    found = sorted(Path(file.locate()) for file in files if file.match("share/headlab/notebooks/*.ipynb"))
    if not found:
        raise OSError("expected the lessons beside the package, got none (install headlab again)")
    return found


def _copy(path, folder):
    """Whether a file was not in the folder yet, and so was copied there."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / path.name
    if copy.exists():
        return False
    _place(path.read_bytes(), copy)
    return True


def _place(content, path):
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
