"""Build the notebooks from their masters in lessons/, run them and save their outputs.

    python tools/build_notebooks.py [NAME ...]   build all lessons, or those whose file name starts so
    python tools/build_notebooks.py --check      build nothing; fail where a notebook differs from its master

A master is a percent-format script. The student's notebook, notebooks/NN_name.ipynb, has a stub in place of each
block between SOLUTION markers and lacks the cells tagged "solution"; notebooks/solutions/NN_name.ipynb has both.
They are run on mini, with the network off, so that the saved outputs are the same on every machine.
"""

import argparse
import hashlib
import os
import re
from pathlib import Path

import jupytext
import nbformat
from lesson_cells import fold_predictions
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION\n?", re.DOTALL | re.MULTILINE)
ENVIRONMENT = {"HEADLAB_MODEL": "mini", "HF_HUB_OFFLINE": "1"}


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
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = f"{digest}-{seen[digest]}"
        cells.append(cell)
    if not solutions:
        fold_predictions(cells)
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
    }
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def run(notebook, folder):
    """Run every cell in its place; the outputs hold nothing of this machine or this moment."""
    metadata = dict(notebook.metadata)
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # however the prints of a cell were cut into messages
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    notebook.metadata = nbformat.from_dict(metadata)
    # A saved widget is but the random number of one that is gone; what it shows in its place is saved beside it.
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


def faults(path, expected):
    """What is wrong with a saved notebook: how it differs from its master, or what its outputs should not hold."""
    if not path.exists():
        return ["is not built"]
    saved = nbformat.read(path, as_version=4)
    found = [] if _bare(saved) == _bare(expected) else ["differs from its master"]
    code = [cell for cell in saved.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append("was not run once from top to bottom")
    for output in (output for cell in code for output in cell.outputs):
        if output.output_type == "error" or output.get("name") == "stderr":
            found.append(f"holds an error or a warning: {str(output.get('text') or output.get('evalue'))[:80]!r}")
        text = str({kind: value for kind, value in output.get("data", {}).items() if kind.startswith("text")})
        if str(ROOT) in text + output.get("text", "") or str(Path.home()) in text + output.get("text", ""):
            found.append("holds a path of this machine")
    return found


def _bare(notebook):
    return [(c.cell_type, c.id, c.source, dict(c.metadata)) for c in notebook.cells], dict(notebook.metadata)


def main():
    """Build or check, as the command line says; exit with 1 where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="lessons to build, by the start of their file names")
    parser.add_argument("--check", action="store_true", help="compare only")
    arguments = parser.parse_args()
    masters = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
    if arguments.names:
        masters = [m for m in masters if m.name.startswith(tuple(arguments.names))]
    if not masters:
        raise SystemExit(f"names: expected the start of a file name in lessons/, got {arguments.names}")
    os.environ.update(ENVIRONMENT)
    failed = False
    for master in masters:
        for path, notebook in notebooks_of(master).items():
            if not arguments.check:
                path.parent.mkdir(exist_ok=True)
                run(notebook, path.parent)
                part = path.with_suffix(".part")
                nbformat.write(notebook, part)
                os.replace(part, path)
            found = faults(path, notebook)
            failed |= bool(found)
            print(f"{path.relative_to(ROOT)}: {'; '.join(found) or 'ok'}", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
