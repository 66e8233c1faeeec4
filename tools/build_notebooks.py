"""Build the notebooks from their masters in lessons/, run them and save their outputs.

    python tools/build_notebooks.py [NAME ...]   build all lessons, or those whose file names begin so, where needed
    python tools/build_notebooks.py --force 01   build lesson 1 even where nothing has changed
    python tools/build_notebooks.py --check      build nothing; fail where a notebook differs from its master

A master is a percent-format script. The student's notebook, notebooks/NN_name.ipynb, has a stub in place of each
block between SOLUTION markers and lacks the cells tagged "solution"; notebooks/solutions/NN_name.ipynb has both.
They are run on mini, with the network off and one thread, so that a second build saves the same bytes.

Each notebook's metadata says what it was built from. It is built again where its cells, the package headlab with its
data, constraints.txt, this tool or its saved outputs have changed since.
"""

import argparse
import asyncio
import hashlib
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
import nbformat
from lesson_cells import fold_predictions, given_away, state_time
from nbclient import NotebookClient
from own_copies import cells_of, digest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
OWN = ROOT / "my-lessons"
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION\n?", re.DOTALL | re.MULTILINE)
IMPORT = re.compile(r"^(from|import) headlab\b", re.MULTILINE)
# A traceback shows the line that failed, so a reader whose kernel does not know headlab sees this.
REMEDY = "import headlab  # not found? Choose .venv as the kernel or run `make lab`; on Colab see site/running.md\n\n"
TOOL = ("build_notebooks.py", "lesson_cells.py", "own_copies.py")
AT_A_TIME = 2  # each in a kernel of one thread
MEASURED = "nbval-ignore-output"  # the tag of a cell that measures this machine at this moment
ENVIRONMENT = {
    "HEADLAB_MODEL": "mini",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",  # sums in one order, on however many cores
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": str(ROOT),  # this folder's headlab, whichever is installed
    "SOURCE_DATE_EPOCH": "0",  # Matplotlib writes no date
}


def notebooks_of(master):
    """{path: notebook without outputs} for the student's and the solution's notebook of one master."""
    return {
        NOTEBOOKS / f"{master.stem}.ipynb": notebook_of(master, solutions=False),
        NOTEBOOKS / "solutions" / f"{master.stem}.ipynb": notebook_of(master, solutions=True),
    }


def notebook_of(master, solutions):
    """The notebook of a master, not yet run, with ids that stay the same from build to build."""
    cells, seen = [], {}
    for cell in jupytext.read(master).cells:
        if "solution" in cell.metadata.get("tags", []) and not solutions:
            continue
        cell.source = SOLUTION.sub(r"\2" if solutions else r"\1...  # your code here\n", cell.source).rstrip("\n")
        cells.append(cell)
    for cell in cells:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = f"{digest}-{seen[digest]}"
    state_time(cells, master.stem)
    first = next((cell for cell in cells if cell.cell_type == "code" and IMPORT.search(cell.source)), None)
    if first:
        first.source = REMEDY + first.source  # which is no part of the lesson's time
    if not solutions:
        fold_predictions(cells)
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
    }
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def run(notebook, folder):
    """Run every cell in the notebook's folder; the outputs hold nothing of this machine or this moment."""
    metadata = dict(notebook.metadata)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # one output, however the cell's prints were cut into messages
        resources={"metadata": {"path": str(folder)}},
    )
    asyncio.run(client.async_execute())  # an event loop of its own, closed at the end, in whichever thread
    notebook.metadata = nbformat.from_dict(metadata)
    # Of a widget only the random number of one that is gone would be saved; what stands in for it is saved beside it.
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


def keep_measurements(notebook, saved):
    """Measurements differ from run to run: the saved ones stay until the cell changes, and with it its id."""
    outputs = {cell.id: cell.outputs for cell in saved.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        if MEASURED in cell.metadata.get("tags", []) and outputs.get(cell.id):
            cell.outputs = outputs[cell.id]


def ingredients():
    """{name: digest} of what every notebook is built with."""
    package = [path for path in sorted((ROOT / "headlab").rglob("*")) if path.is_file()]
    package = [path for path in package if path.suffix != ".pyc" and not path.name.startswith(".")]
    return {
        "headlab": digest(*((path.relative_to(ROOT).as_posix(), _content(path)) for path in package)),
        "the lock": digest(_content(ROOT / "constraints.txt")),
        "the build tool": digest(*(_content(Path(__file__).with_name(name)) for name in TOOL)),
    }


def recipe(notebook, used):
    """{name: digest} of all that a notebook is built from, and of its outputs."""
    return {
        "its cells": digest(*cells_of(notebook)),
        **used,
        "its outputs": digest(*((cell.execution_count, cell.outputs) for cell in _code(notebook))),
    }


def reasons(saved, expected, used):
    """Why a saved notebook has to be built again: the names of what has changed since; none where nothing has."""
    if saved is None:
        return ["there is none"]
    built_from = saved.metadata.get("headlab", {})
    wanted = recipe(expected, used) | {"its outputs": recipe(saved, used)["its outputs"]}
    changed = [name for name, found in wanted.items() if built_from.get(name) != found]
    if "its cells" not in changed and cells_of(saved) != cells_of(expected):
        changed.insert(0, "the built notebook")
    return changed


def keep_edits(path, saved):
    """Before a built notebook is built again: if somebody has edited it, copy it to the reader's own folder."""
    built_from = saved.metadata.get("headlab", {})
    if not built_from or built_from["its cells"] == digest(*cells_of(saved)):
        return
    kept = OWN / path.relative_to(NOTEBOOKS)
    kept = kept.with_name(f"{kept.stem}-{digest(*cells_of(saved))}.ipynb")
    kept.parent.mkdir(parents=True, exist_ok=True)
    write(saved, kept)
    say(f"{path.relative_to(ROOT)}: somebody edited it; kept as {kept.relative_to(ROOT)}")


def build(path, notebook, saved, used):
    """Run a notebook and save it with what it was built from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    run(notebook, path.parent)
    if saved is not None:
        keep_measurements(notebook, saved)
        keep_edits(path, saved)
    notebook.metadata["headlab"] = recipe(notebook, used)
    write(notebook, path)


def read(path):
    """A saved notebook; None where there is no file, or it is no notebook, as after a conflict in git."""
    try:
        return nbformat.read(path, as_version=4)
    except (FileNotFoundError, nbformat.reader.NotJSONError):
        return None


def write(notebook, path):
    """Save a notebook whole or not at all."""
    part = path.with_suffix(".part")
    try:
        nbformat.write(notebook, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def faults(saved, expected):
    """What is wrong with a saved notebook: how it differs from its master, or what its outputs should not hold."""
    if saved is None:
        return ["is not built"]
    found = [] if cells_of(saved) == cells_of(expected) else ["differs from its master"]
    if "widgets" in saved.metadata:
        found.append("holds the state of widgets, which GitHub does not show")
    code = _code(saved)
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append("was not run once from top to bottom")
    lines = [line for line in map(given_away, code) if line]
    found += [f"shows {line[:60]!r} of a folded output: print a line without values before it" for line in lines]
    for output in (output for cell in code for output in cell.outputs):
        if output.output_type == "error" or output.get("name") == "stderr":
            found.append(f"holds an error or a warning: {str(output.get('text') or output.get('evalue'))[:80]!r}")
        text = str({kind: value for kind, value in output.get("data", {}).items() if kind.startswith("text")})
        if str(ROOT) in text + output.get("text", "") or str(Path.home()) in text + output.get("text", ""):
            found.append("holds a path of this machine")
    return found


def _code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _content(path):
    content = path.read_bytes().replace(b"\r\n", b"\n")  # however git writes the ends of lines here
    return hashlib.sha256(content).hexdigest()


def main():
    """Build or check, as the command line says; exit with 1 where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="lessons to build, by the start of their file names")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="compare only")
    what.add_argument("--force", action="store_true", help="build even where nothing has changed")
    arguments = parser.parse_args()
    masters = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
    if arguments.names:
        masters = [m for m in masters if m.name.startswith(tuple(arguments.names))]
    if not masters:
        raise SystemExit(f"names: expected the start of a file name in lessons/, got {arguments.names}")
    os.environ.update(ENVIRONMENT)
    used = ingredients()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        tasks = [
            pool.submit(handle, path, notebook, used, arguments)
            for master in masters
            for path, notebook in notebooks_of(master).items()
        ]
    raise SystemExit(any(task.result() for task in tasks))


def handle(path, notebook, used, arguments):
    """Build one notebook where that is needed, or only check it; returns its faults, and says what is done and why."""
    name, saved, done = path.relative_to(ROOT), read(path), ""
    if not arguments.check:
        why = ["--force"] if arguments.force else reasons(saved, notebook, used)
        done = "nothing has changed, "
        if why:
            say(f"{name}: building ({', '.join(why)})")
            start = time.monotonic()
            build(path, notebook, saved, used)
            saved, done = read(path), f"built in {time.monotonic() - start:.0f} s, "
    found = faults(saved, notebook)
    say(f"{name}: {done}{'; '.join(found) or 'ok'}")
    return found


def say(line):
    """Print a line in one piece, even while another thread prints."""
    print(line + "\n", end="", flush=True)


if __name__ == "__main__":
    main()
