"""Where the course's notebooks are, and copies of them for the reader: `headlab lessons FOLDER`."""

import os
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent


def copy_lessons(folder):
    """Copy every lesson to a folder, which is created if need be; a file that is there already stays as it is.

    Returns (names of the copies, names of those that stay), in the order of the lessons. Raises OSError in one line
    where the lessons cannot be found or a copy cannot be written.
    """
    folder = Path(folder)
    copied, stay = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for lesson in find_lessons():
            copy = folder / lesson.name
            (stay if copy.exists() else copied).append(lesson.name)
            if not copy.exists():
                _place(lesson.read_bytes(), copy)
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


def _place(content, path):
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
