"""Make the copy of the course that students get: handout/headlab/ and handout/headlab.zip, without solutions.

    python tools/handout.py

It holds the lessons, the package and those tests that need neither masters nor solutions; `make lab` and `make test`
work in it. If any file or output outside headlab/ holds a solution, nothing is made. The package's own functions do
what some exercises ask, and the checks compare answers with them, so these stay in it.
"""

import json
import re
import shutil
import tempfile
from pathlib import Path

import jupytext
from build_notebooks import SOLUTION

ROOT = Path(__file__).parents[1]
OUT = ROOT / "handout"
FILES = """
    .gitignore CITATION.cff LICENSE LICENSE-TEXT Makefile README.md SECURITY.md constraints.txt environment.yml
    pyproject.toml site/running.md site/trouble.md lessons/*.png lessons/*.svg notebooks/* tests/*.py tests/*.pem
    tools/environment.py tools/own_copies.py headlab/**/*
""".split()
# Tests of what is not handed out.
TEACHERS = re.compile(
    r"build_notebooks|lesson_cells|own_copies|small_wheels|handout|offline_class|CONTRIBUTING|headlab\.grading|"
    r"\"answers\"|\"lessons\"|\"tools\"|\"benchmarks\""
)
SENTENCE = re.compile(r"[A-Z][^.`]*`solutions/[^`]+`[^.]*\.")
ONLY_TEACHERS = re.compile(r"<!-- for teachers -->\n.*?<!-- end -->\n", re.DOTALL)


def make():
    """Make folder and archive, and return their paths; ValueError where a solution would leak."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT, prefix=".part-") as place:
        folder = Path(place, "headlab")
        copy(folder)
        found = leaks(folder)
        if found:
            raise ValueError(f"not made, since it would give solutions away: {'; '.join(found)}")
        archive = Path(shutil.make_archive(str(Path(place, "archive")), "zip", place, "headlab"))
        shutil.rmtree(OUT / "headlab", ignore_errors=True)
        archive.replace(OUT / "headlab.zip")
        return folder.rename(OUT / "headlab"), OUT / "headlab.zip"


def copy(folder):
    """Copy what students get."""
    stays = teachers_tests()
    for path in sorted({path for pattern in FILES for path in ROOT.glob(pattern) if path.is_file()}):
        name = path.relative_to(ROOT)
        hidden = "__pycache__" in name.parts or any(part.startswith(".") for part in name.parts[:-1])
        if hidden or path in stays or name.is_relative_to("headlab/grading"):
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
        if name.suffix == ".ipynb":
            without_pointers(folder / name)
    readme = folder / "README.md"
    readme.write_text(ONLY_TEACHERS.sub("", readme.read_text(encoding="utf-8")), encoding="utf-8")


def teachers_tests():
    """Test files that students do not get: those that test what is not handed out, hold a solution or import such."""
    answers = solutions()
    tests = {path: path.name + path.read_text(encoding="utf-8") for path in ROOT.glob("tests/*.py")}
    stays = {path for path, text in tests.items() if TEACHERS.search(text) or held(path, answers)}
    while True:
        imports = re.compile(rf"^(?:from|import) (?:{'|'.join(path.stem for path in stays)})\b", re.MULTILINE)
        more = {path for path in tests.keys() - stays if stays and imports.search(tests[path])}
        if not more:
            return stays
        stays |= more


def without_pointers(path):
    """Replace the sentence that sends a reader to the solutions."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = SENTENCE.sub("Try first; your teacher has the solutions.", "".join(cell["source"]))
            cell["source"] = text.splitlines(keepends=True)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def solutions():
    """{lesson and first words: text} of every solution block and every cell tagged "solution", in every master."""
    found = {}
    for master in sorted((ROOT / "lessons").glob("[0-9]*.py")):
        blocks = [block for _, block in SOLUTION.findall(master.read_text(encoding="utf-8"))]
        cells = [cell.source for cell in jupytext.read(master).cells if "solution" in cell.metadata.get("tags", [])]
        for text in map(plain, [*blocks, *cells]):
            found[f"{master.stem}: {text[:40]}"] = text
    return {name: text for name, text in found.items() if text}


def plain(text):
    """Text without comments and without its layout."""
    return " ".join(re.sub(r"#.*", "", text).split())


def held(path, answers):
    """The solutions that a file holds, in its text or, where it is a notebook, in any cell or output."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:  # weights, pictures
        return []
    if path.suffix == ".ipynb":
        text = "\n".join(strings(json.loads(text)))
    text = plain(text)
    return [name for name, answer in answers.items() if answer in text]


def strings(value):
    """Every text in a notebook, with the lines of each joined."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and all(isinstance(line, str) for line in value):
        yield "".join(value)
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def leaks(folder):
    """Where a hand-out gives a solution away, or sends its reader to solutions that it does not have."""
    answers, found = solutions(), []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        inside = [] if name.parts[0] == "headlab" else held(path, answers)
        found += [f"{name} holds {answer!r}" for answer in inside]
        if path.suffix in (".ipynb", ".md", ".py") and re.search(
            r"BEGIN SOLUTION|solutions/\w*", path.read_text("utf-8")
        ):
            found.append(f"{name} names the solutions")
        if {".git", "solutions", "my-lessons"} & set(name.parts) or re.match(r"lessons/.*\.py", name.as_posix()):
            found.append(f"{name} is not for students")
    return found


if __name__ == "__main__":
    try:
        made, archive = make()
    except ValueError as error:
        raise SystemExit(f"handout: {error}") from None
    print(f"{made.relative_to(ROOT)} and {archive.relative_to(ROOT)}: {archive.stat().st_size / 1e6:.0f} MB")
