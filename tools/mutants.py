"""How many random mistakes in headlab do the tests notice? `make mutants`.

    python tools/mutants.py [NUMBER ...]

Draws N_MUTANTS small changes of the committed code with cosmic-ray's operators: another number, comparison or
arithmetic sign, a `not` and the like. Each change, a mutant, is put into a copy of the repository, where the tests of
its module run until one fails. The rows of build/mutants.csv say what was changed and which mutants no test noticed.
With numbers, only these mutants are tried, with the tests as committed now, to see whether a new test notices them: a
number stands for the same mutant as long as headlab/ stays as it is.
"""

import ast
import csv
import difflib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "build" / "mutants.csv"
N_MUTANTS, SEED = 200, 23
AT_ONCE = 2
LONGEST = 300  # seconds for the tests of one mutant: after that it counts as not noticed

# Tests of browsers, kernels and whole lessons, which take minutes each and run code that the other tests check.
LEFT_OUT = re.compile(r"test_(browser|build_notebooks|handout|lessons_|make|own_copies|site|wheel)")
LAST = re.compile(r"course|fuzz|docstrings")


class Mutant(NamedTuple):
    """A file with one change."""

    path: str  # from the root of the repository
    source: str
    line: int
    change: str  # the lines before and after

    @property
    def module(self):
        return self.path.removesuffix(".py").replace("/", ".")


def draw():
    """N_MUTANTS mutants, spread evenly over all places of headlab that an operator can change."""
    places = [place for path in sorted((ROOT / "headlab").rglob("*.py")) for place in places_of(path)]
    chance = random.Random(SEED)
    edges = [len(places) * i // N_MUTANTS for i in range(N_MUTANTS + 1)]
    for start, end in pairwise(edges):
        stretch = places[start:end]
        chance.shuffle(stretch)
        yield next(mutant for mutant in map(mutant_at, stretch) if mutant)


def places_of(path):
    """Every (path, operator, occurrence, line) of a file, without those in an exercise's planted mistakes.

    A change in a planted mistake only makes another wrong answer, to which the same message belongs.
    """
    if path.name.startswith("__"):
        return
    source = path.read_text(encoding="utf-8")
    nodes, left_out = list(ast_nodes(get_ast(source))), lines_of_mistakes(path, source)
    for name in sorted(operator_names()):
        if get_operator(name).arguments():
            continue
        found = (start for node in nodes for start, _ in get_operator(name)().mutation_positions(node))
        for occurrence, (line, _) in enumerate(found):
            if line not in left_out:
                yield path, name, occurrence, line


def lines_of_mistakes(path, source):
    """The lines of the functions that an exercise lists as its mistakes."""
    if path.parent.name != "exercises":
        return set()
    nodes = list(ast.walk(ast.parse(source)))
    lists = (node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == "mistakes")
    names = {name.id for each in lists for name in ast.walk(each) if isinstance(name, ast.Name)}
    mistakes = (node for node in nodes if isinstance(node, ast.FunctionDef) and node.name in names)
    return {line for function in mistakes for line in range(function.lineno, function.end_lineno + 1)}


def mutant_at(place):
    """The mutant of one place; None where the change cannot be compiled, or changes only annotations."""
    path, name, occurrence, line = place
    before = path.read_text(encoding="utf-8")
    after = mutate_code(before, get_operator(name)(), occurrence)
    try:
        same = what_runs(before) == what_runs(after)
    except SyntaxError:
        return None
    if same:
        return None
    changed = [
        f"{one[0]} {one[2:].strip()}" for one in difflib.ndiff(*map(str.splitlines, (before, after))) if one[0] in "+-"
    ]
    return Mutant(path.relative_to(ROOT).as_posix(), after, line, "\n".join(changed))


def what_runs(source):
    """The syntax tree without its annotations, as text."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(tree)


def tests_of(mutant):
    """pytest's arguments for a mutant: its test files, and which of their tests.

    Those named after its module come first, then those that import it, those named after a module that imports it,
    those that import one of all these, and at the end the slow ones.
    """
    words = mutant.module.split(".")[1:]
    named = [test for word in reversed(words) for test in sorted(ROOT.glob(f"tests/test_{word.strip('_')}*.py"))]
    imports = re.compile(
        rf"(from|import) {re.escape(mutant.module)}\b|"
        rf"from {re.escape(mutant.module.rpartition('.')[0])} import .*\b{words[-1]}\b"
    )
    importing = [test for test in sorted(ROOT.glob("tests/*.py")) if imports.search(test.read_text(encoding="utf-8"))]
    users = [
        path for path in sorted((ROOT / "headlab").rglob("*.py")) if imports.search(path.read_text(encoding="utf-8"))
    ]
    through = [test for user in users for test in sorted(ROOT.glob(f"tests/test_{user.stem.strip('_')}*.py"))]
    found = [*named, *importing, *through]
    imported = re.compile(rf"^(?:from|import) (?:{'|'.join(test.stem for test in found)})\b", re.MULTILINE)
    helped = [test for test in sorted(ROOT.glob("tests/*.py")) if imported.search(test.read_text(encoding="utf-8"))]
    files = dict.fromkeys(
        test.relative_to(ROOT).as_posix()
        for test in [*found, *helped]
        if test.name.startswith("test_") and not LEFT_OUT.match(test.name)
    )
    lesson = re.search(r"exercises/lesson(\d)", mutant.path)
    if lesson:
        return ["tests/test_asked.py", "tests/test_exercises.py", "tests/test_answers.py", "-k", f"[{lesson[1]}."]
    return sorted(files, key=lambda file: bool(LAST.search(file)))


def pytest(folder, tests, longest=None):
    """(exit code, last lines) of tests in a copy of the repository; the code is None after `longest` seconds."""
    environment = dict(
        os.environ,
        PYTHONPATH=str(folder),
        PYTHONDONTWRITEBYTECODE="1",
        OMP_NUM_THREADS="1",
        HEADLAB_REFERENCE=os.environ.get("HEADLAB_REFERENCE") or str(ROOT.parent / "shared" / "gpt2"),
    )
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not browser", "-p", "no:cacheprovider"]
    command += ["-o", "timeout=60", *tests]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            code = process.wait(longest)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        output.seek(0)
        return code, output.read().splitlines()[-30:]


def try_out(mutant, folder):
    """(whether a test fails in the copy with the mutant, which: the failing test or the last line)."""
    file = folder / mutant.path
    original = file.read_bytes()
    file.write_text(mutant.source, encoding="utf-8")
    try:
        code, lines = pytest(folder, tests_of(mutant), LONGEST)
    finally:
        file.write_bytes(original)
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return code not in (None, 0, 5), (failed or lines or [""])[-1][:200]


def copy_repository(folder):
    """A copy of the last commit."""
    subprocess.run(["git", "clone", "-q", "--shared", ROOT, folder], check=True)
    return folder


def main(numbers):
    """Try all mutants, or those with these numbers, and add a row for each to the table."""
    mutants = list(draw())
    chosen = numbers or range(N_MUTANTS)
    TABLE.parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as place,
        TABLE.open("a", newline="", encoding="utf-8") as table,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        copies, rows = SimpleQueue(), csv.writer(table, lineterminator="\n")
        for i in range(AT_ONCE):
            copies.put(copy_repository(Path(place, f"copy-{i}")))

        def one(number):
            folder, start = copies.get(), time.monotonic()
            noticed, how = try_out(mutants[number], folder)
            copies.put(folder)
            took, verdict = round(time.monotonic() - start), "noticed" if noticed else "NOT NOTICED"
            path, _, line, change = mutants[number]
            rows.writerow([number, path, line, change, verdict, how, took])
            table.flush()
            print(f"{number}: {path}:{line}: {verdict} ({took} s)", flush=True)
            return noticed

        unchanged = pool.submit(check_the_tests, [mutants[number] for number in chosen], Path(place, "unchanged"))
        results = list(pool.map(one, chosen))
        unchanged.result()
    print(f"{sum(results)} of {len(results)} mutants noticed; see {TABLE.relative_to(ROOT)}")


def check_the_tests(mutants, folder):
    """Raise if a test fails without any mutant: it would seem to notice every one."""
    copy_repository(folder)
    files = sorted({file for mutant in mutants for file in tests_of(mutant) if file.endswith(".py")})
    code, lines = pytest(folder, files)
    if code:
        raise SystemExit("\n".join(["The tests must pass without a mutant, but:", *lines]))


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]])
