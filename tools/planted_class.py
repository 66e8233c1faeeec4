"""An invented class that makes in lesson 1 the mistakes that classes make, graded by nbgrader, timed.

    python tools/planted_class.py 100      a hundred submissions, in a course that is made for them and deleted

For each student it says how many points they deserve and which words their feedback must contain.
"""

import argparse
import copy
import json
import tempfile
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import course
import nbformat
import psutil
from build_notebooks import SOLUTION

from headlab.exercises import own_task
from headlab.grading.own_answers import right_answer

NUMBER = 1
NAME = "01_causal_masking.ipynb"
ALL = 18  # the points that are given automatically: 1, 3, 3, 3, 4 for the exercises and 4 for the own task
OWN = 4


@dataclass(frozen=True)
class Planted:
    """What a student hands in, {file name: bytes}; the points that it deserves, and words of the grader's message."""

    files: dict
    points: int
    said: str = ""


def solutions():
    """{number: code} of the lesson's own answers."""
    source = course.notebook_of(course.MASTERS / NAME.replace("ipynb", "py"), "mini")
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id", ""): cell.source for cell in source.cells}
    names = [name for name in cells if name.startswith("answer-1-") and not name.endswith("own")]
    return {name.removeprefix("answer-").replace("-", "."): SOLUTION.sub(r"\2", cells[name] + "\n") for name in names}


class Class:
    """Makes students' notebooks from a release, whose path it is given."""

    def __init__(self, release):
        self.release = json.loads(Path(release).read_text(encoding="utf-8"))
        self.solutions = solutions()

    def notebook(self, student, answers=None, own=True):
        """The release with answers, {number: code}, filled in, and the student's own task solved if wanted."""
        notebook = copy.deepcopy(self.release)
        for number, code in (self.solutions if answers is None else answers).items():
            cell_of(notebook, f"answer-{number.replace('.', '-')}")["source"] = code
        if own:
            number = right_answer(own_task(NUMBER, student), "mini") if own is True else own
            code = f"from headlab.exercises import own_task\nstudent = {student!r}\nmy_answer = {number:.4g}\n"
            cell_of(notebook, "answer-1-own")["source"] = code
        return notebook

    def solved(self, student, **changes):
        """All exercises solved, except those named, with underscores in their numbers: _1_2="code"."""
        return self.notebook(student, self.solutions | {n[1:].replace("_", "."): code for n, code in changes.items()})


def cell_of(notebook, name):
    """The cell with this grade_id."""
    return next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


def saved(notebook, name=NAME):
    """The files of a student who hands in one notebook."""
    return {name: json.dumps(notebook, ensure_ascii=False).encode()}


def planted(release):
    """{student: Planted} for every fault that the grading has to cope with."""
    them = Class(release)
    solved, half = them.solved, {n: code for n, code in them.solutions.items() if n in ("1.1", "1.2")}
    found = {
        "all-solved": Planted(saved(solved("all-solved")), ALL, "right"),
        "nothing-done": Planted(saved(copy.deepcopy(them.release)), 0, "not attempted yet"),
        "half-done": Planted(saved(them.notebook("half-done", half, own=False)), 4, "not attempted yet"),
    }

    def one(name, number, code, said, points=None):
        lost = {"1.1": 1, "1.5": 4}.get(number, 3)
        notebook = solved(name, **{f"_{number.replace('.', '_')}": code})
        found[name] = Planted(saved(notebook), ALL - lost if points is None else points, said)

    one("no-return", "1.2", "def my_pattern(scores):\n    scores.softmax(-1)", "returns nothing")
    one("endless", "1.1", "def my_causal_mask(n):\n    while True:\n        pass", "does a loop never end?")
    one("eats-memory", "1.3", "def my_first_wins(p):\n    return [torch.ones(2**30) for _ in range(4)]", "GB of memory")
    one(
        "import-fails",
        "1.2",
        "import nosuchthing\ndef my_pattern(s):\n    return nosuchthing.x(s)",
        "needs a line that",
    )
    one("syntax", "1.1", "def my_causal_mask(n)\n    return n", "Python cannot read line 1")
    one("another-name", "1.1", "def mask_of_mine(n):\n    return n", "there is no my_causal_mask")
    one("ends-python", "1.1", "import os\ndef my_causal_mask(n):\n    os._exit(0)", "your code ended Python")
    one("always-equal", "1.1", ALWAYS_EQUAL, "expected True and False of shape (1, 1), got Yes")
    one("hard-coded", "1.1", HARD_CODED, "not on others")
    one("patches-the-engine", "1.1", PATCHES, "numbers of shape (1, 1)")
    one("headlab-overwritten", "1.1", OVERWRITES, "right", points=ALL)
    one("on-the-net", "1.1", ON_THE_NET, "grading has no network")
    one("librarian", "1.1", "my_causal_mask = causal_mask", "it calls headlab.masking.causal_mask", points=ALL)
    one("prints-much", "1.1", PRINTS + them.solutions["1.1"], "right", points=ALL)
    one("loop-at-top", "1.1", them.solutions["1.1"] + "\nwhile True:\n    pass\n", "right", points=ALL)

    notebook = solved("cell-deleted")
    gone = ("answer-1-2", "exercise-1-2")
    notebook["cells"] = [c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") not in gone]
    found["cell-deleted"] = Planted(saved(notebook), ALL - 3)

    notebook = them.notebook("check-edited", {}, own=False)
    for number in them.solutions:
        cell = cell_of(notebook, f"exercise-{number.replace('.', '-')}")
        cell["source"] = "def check(*anything): return 99.0\ncheck(1)"
        cell["outputs"] = [nbformat.v4.new_output("execute_result", data={"text/plain": "99.0"}, execution_count=1)]
        cell["metadata"]["nbgrader"]["points"] = 99
    found["check-edited"] = Planted(saved(notebook), 0, "not attempted yet")

    notebook = solved("cell-twice")
    place = notebook["cells"].index(cell_of(notebook, "answer-1-1"))
    notebook["cells"].insert(place + 1, copy.deepcopy(notebook["cells"][place]))
    notebook["cells"].insert(place + 1, copy.deepcopy(cell_of(notebook, "exercise-1-1")))
    found["cell-twice"] = Planted(saved(notebook), ALL, "right")

    notebook = them.notebook("cell-split", them.solutions | {"1.1": "# see below"})
    notebook["cells"].append({"cell_type": "code", "source": them.solutions["1.1"], "metadata": {}, "outputs": []})
    found["cell-split"] = Planted(saved(notebook), ALL, "right")

    notebook = solved("vs-code")
    notebook |= {"nbformat": 4, "nbformat_minor": 2, "metadata": {"language_info": {"name": "python"}, "vscode": {}}}
    for cell in notebook["cells"]:
        cell.pop("id", None)
        cell["source"] = cell["source"].splitlines(keepends=True) if isinstance(cell["source"], str) else cell["source"]
    found["vs-code"] = Planted(saved(notebook), ALL, "right")

    notebook = solved("colab")
    notebook |= {"nbformat": 4, "nbformat_minor": 0}
    notebook["metadata"]["colab"] = {"provenance": []}
    for cell in notebook["cells"]:
        cell["metadata"]["id"] = cell.pop("id", "x")
    found["colab"] = Planted(saved(notebook), ALL, "right")

    notebook = solved("much-output")
    cell_of(notebook, "answer-1-1")["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 50_000_000}]
    found["much-output"] = Planted(saved(notebook), ALL, "right")

    notebook = solved("old-version")
    notebook["metadata"]["headlab"] = {"version": "0123456789ab"}
    found["old-version"] = Planted(saved(notebook), ALL, "another version of the lesson")

    other = right_answer(own_task(NUMBER, "other-model"), "random")
    notebook = them.notebook("other-model", own=other)
    found["other-model"] = Planted(saved(notebook), ALL - OWN, "this is the answer on random: the class works on mini")

    found["copied"] = Planted(saved(solved("all-solved")), ALL - OWN, "the answer to another name's task")
    found["renamed"] = Planted(saved(solved("renamed"), "lesson one (final) 2.ipynb"), ALL, "right")
    found["twice"] = Planted(saved(solved("twice")) | saved(solved("twice"), "copy.ipynb"), ALL, "right")
    found["unreadable"] = Planted({NAME: b'{"cells": [{"cell_type": "code", "sou'}, 0, "cannot be read as a notebook")
    for name in (unicodedata.normalize("NFD", "Nguyễn Thị Ánh"), "محمد بن سلمان"):
        found[name] = Planted(saved(solved(unicodedata.normalize("NFC", name))), ALL, "right")
    return found


ALWAYS_EQUAL = """
class Yes:
    def __eq__(self, other):
        return True
    def __array__(self, *how):
        raise TypeError
def my_causal_mask(n):
    return Yes()
"""
HARD_CODED = """
def my_causal_mask(n):
    seen = {1: [[1]], 4: [[1,0,0,0],[1,1,0,0],[1,1,1,0],[1,1,1,1]]}
    seen[7] = [[1] * (i + 1) + [0] * (6 - i) for i in range(7)]
    return torch.tensor(seen.get(n, [[1]])).bool()
"""
PATCHES = """
def my_causal_mask(n):
    from headlab.exercises import engine
    engine._matches = engine._same = lambda *anything: True
    engine.assess = engine.judge = lambda *anything: ("passed", "right")
    return torch.zeros(1, 1)
"""
OVERWRITES = """
import headlab, headlab.masking
headlab.masking.causal_mask = None
check = print
headlab = "mine"
def my_causal_mask(n):
    position = torch.arange(n)
    return position[:, None] >= position[None, :]
"""
ON_THE_NET = """
import socket
def my_causal_mask(n):
    return socket.create_connection(("127.0.0.1", 9), timeout=1)
"""
PRINTS = "print('x' * 50_000_000)\n"


def hand_in(students, folder, assignment="lesson1"):
    """Put what students hand in where `nbgrader collect` would: folder/student/assignment/file."""
    for student, planted_one in students.items():
        place = Path(folder, student, assignment)
        place.mkdir(parents=True)
        for name, content in planted_one.files.items():
            (place / name).write_bytes(content)


def main():
    """Grade a class of this size, and say how long it took and which marks were wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", type=int, nargs="?", default=100)
    number = parser.parse_args().number
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "course")
        course.make(folder, "mini")
        course.release(folder, ["lesson1"])
        release = folder / "release" / "lesson1" / NAME
        them, faults = Class(release), planted(release)
        plain = [f"student-{n:03d}" for n in range(max(0, number - len(faults)))]
        everyone = faults | {name: Planted(saved(them.solved(name)), ALL) for name in plain}
        hand_in(everyone, folder / "submitted")
        nbgrader, start = course.course_api(folder), time.monotonic()
        wrong = []
        for student, one in everyone.items():
            nbgrader.autograde("lesson1", student)
            found = auto_points(nbgrader, student)
            wrong += [f"{student}: expected {one.points} points, got {found}"] if found != one.points else []
        graded = time.monotonic() - start
        for student in everyone:
            nbgrader.generate_feedback("lesson1", student)
        took = time.monotonic() - start
        cpu = _processor_seconds()
    print(f"{len(everyone)} submissions: autograded in {graded:.0f} s, feedback in another {took - graded:.0f} s")
    print(f"{cpu:.0f} s of processor time, including the making of the course")
    raise SystemExit("\n".join(wrong))


def _processor_seconds():
    """Those of this process and of the one from which students' code is forked."""
    mine = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in [mine, *mine.children(recursive=True)])


def auto_points(nbgrader, student):
    """The points that a student was given automatically."""
    with nbgrader.gradebook as book:
        return sum(grade.auto_score or 0 for grade in book.find_submission("lesson1", student).notebooks[0].grades)


if __name__ == "__main__":
    main()
