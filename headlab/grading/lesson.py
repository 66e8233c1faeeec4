"""What a lesson asks of its students, read from its master."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import headlab
from headlab._expect import expect

MASTERS = Path(headlab.__file__).parents[1] / "lessons"
CELL = re.compile(r"^# %%(.*)\n", re.MULTILINE)
EXERCISE = re.compile(
    r"^# ### Exercise (?P<number>\d+\.\d+) · (?P<title>.+)\n(?:#\n# \*Difficulty (?P<points>[1-5]) of 5)?", re.MULTILINE
)
SECTION = re.compile(r"^# ## (\d+)\. (.+)$", re.MULTILINE)
MENTIONED = re.compile(r"\bsections? (\d+(?:(?:, | and | to )\d+)*)")
MIDDLE = 3  # points of an exercise that states no difficulty
OWN_POINTS = 4  # of a student's own task


@dataclass(frozen=True)
class Item:
    """One thing that is graded: an exercise, or a student's own task, whose number is "1.own"."""

    number: str
    title: str
    name: str  # of the function, or of the value, that the student hands in
    points: int
    sections: tuple[str, ...] = ()  # of the lesson, where to read on

    @property
    def own(self):
        """Whether this is the student's own task."""
        return self.number.endswith(".own")


@dataclass(frozen=True)
class Lesson:
    """A lesson's graded part; version changes with the master."""

    number: int
    stem: str  # such as "01_causal_masking"
    title: str
    items: tuple[Item, ...]
    cells: tuple[str, ...]  # the code of the master, solutions included
    version: str


def lesson_of(number, masters=MASTERS):
    """The Lesson of this number; ValueError in one line if there is none, or it has no exercises."""
    found = sorted(Path(masters).glob(f"{number:02d}_*.py"))
    there = ", ".join(str(int(path.name[:2])) for path in sorted(Path(masters).glob("[0-9][0-9]_*.py")))
    expect(there, "lessons", f"the masters in {masters}, which the students' copy lacks", "none")
    expect(found, "--lesson", f"one of {there}", number)
    text = found[0].read_text(encoding="utf-8")
    functions = dict(re.findall(r"^check\([\"'](\d+\.\d+)[\"'], (\w+)", text, re.MULTILINE))
    titles = dict(SECTION.findall(text))
    items, heads = [], list(EXERCISE.finditer(text))
    for head in heads:
        end = text.index(f'check("{head["number"]}"', head.end()) if head["number"] in functions else head.end()
        told = " ".join(re.sub(r"^# ?", "", text[head.end() : end], flags=re.MULTILINE).split())
        mentioned = [n for run in MENTIONED.findall(told) for n in re.findall(r"\d+", run)]
        sections = tuple(f"section {n}, {titles[n]}" for n in dict.fromkeys(mentioned) if n in titles)
        expect(head["number"] in functions, "lessons", f"a check of exercise {head['number']}", found[0].name)
        items.append(
            Item(head["number"], head["title"], functions[head["number"]], int(head["points"] or MIDDLE), sections)
        )
    expect(items, "--lesson", "a lesson with exercises (the project is graded by hand)", number)
    items.append(Item(f"{number}.own", "Your own task", "my_answer", OWN_POINTS))
    version = hashlib.sha256(text.encode()).hexdigest()[:12]
    title = re.search(r"^# # (.+)$", text, re.MULTILINE)[1]
    return Lesson(number, found[0].stem, title, tuple(items), tuple(code_cells(text)), version)


def code_cells(text):
    """The code of a percent script, cell by cell."""
    parts = CELL.split(text)[1:]
    return [code for marks, code in zip(parts[::2], parts[1::2], strict=True) if "[markdown]" not in marks]
