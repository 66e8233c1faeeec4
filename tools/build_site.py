"""Build the course as a static website, in build/site/html or the folder that is named: `make site`.

    python tools/build_site.py [FOLDER]

The pages are the built notebooks with their saved outputs; nothing is run again. Each explorer's numbers are computed
from mini here, written to a file of their own, and loaded when the explorer comes into view. The site loads nothing
from any other host.
"""

import ast
import html
import importlib
import re
import shlex
import shutil
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import nbformat
from sphinx.cmd.build import main as sphinx

from headlab import explorers
from headlab.explorers import recorded_gpt2
from headlab.models import load_model

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
SENTENCE = "When the old man opened the door of the little white house, the old dog ran out of the house."
# What an explorer of mini shows first: L0H5 looks at the token before, L2H6 at the first one.
OPENS_ON = {
    "MaskExplorer": {"layer": 2, "head": 6},
    "HeadExplorer": {"layer": 0, "head": 5},
    "ContrastExplorer": {"layer": 2, "head": 6},
    "DensityExplorer": {"layer": 0, "head": 5},
    "InterventionExplorer": {"heads": [(0, 5)], "first_key": False},
}
NAMES = {explorer.__name__ for explorer in explorers.EXPLORERS}
FIRST_SIGHT = "HeadExplorer(*recorded_gpt2(), layer=5, head=5)"  # on the front page: an induction head of GPT-2
# The modules that lessons call, in the order in which the lessons introduce them, and those around them.
MODULES = """
    models capture masking splitting scores shift contrast density histogram profiles interventions explorers plots
    shading diagram predict says texts exercises streaming download
""".split()


def build(out):
    """Build the site in out/html from what is gathered in out/source, say how to view it; returns Sphinx's status."""
    shutil.rmtree(out, ignore_errors=True)
    gather(out / "source")
    options = ["-q", "-W", "--keep-going", "-b", "html", "-d", str(out / "doctrees")]
    status = sphinx([*options, str(out / "source"), str(out / "html")])
    if not status:
        view = shlex.join(
            [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(out / "html")]
        )
        print(f"To view the site, run this and open http://127.0.0.1:8000: {view}")
    return status


def gather(source):
    """Write what Sphinx reads."""
    shutil.copytree(ROOT / "site", source, ignore=shutil.ignore_patterns("__pycache__"))
    lessons = {path.stem: nbformat.read(path, as_version=4) for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))}
    shutil.copy(ROOT / "headlab" / "predict.js", source / "_static")
    (source / "lessons").mkdir()
    place = explorer_writer(source / "_static" / "explorers")
    for name, notebook in lessons.items():
        write_downloads(name, source / "download")
        nbformat.write(page(name, notebook, place), source / "lessons" / f"{name}.ipynb")
    index = source / "index.md"
    text = index.read_text(encoding="utf-8").replace("{{lessons}}", table(lessons))
    index.write_text(text.replace("{{explorer}}", place(explorer_call(FIRST_SIGHT), "index", up="")), encoding="utf-8")
    write_api(lessons, source / "api")


def explorer_writer(folder):
    """A function that writes an explorer's script, numbers and still picture, and returns the HTML of its place."""
    folder.mkdir()
    mini = (*load_model("mini"), SENTENCE)

    def write(call, where, up="../"):
        name, recorded, settings = call
        explorer = getattr(explorers, name)(*(recorded_gpt2() if recorded else mini), **settings)
        with redirect_stdout(StringIO()):  # the summary, which is the picture's alternative text too
            picture = explorer.still()
        whole = f"{where}-{name}{'-gpt2' if recorded else ''}"
        (folder / f"{name}.js").write_text(str(explorer._esm), encoding="utf-8")
        (folder / f"{name}.css").write_text(str(explorer._css), encoding="utf-8")
        (folder / f"{whole}.json").write_text(explorer.state_text(), encoding="utf-8")
        (folder / f"{whole}.png").write_bytes(picture.data)
        return (
            f'<link rel="stylesheet" href="{up}_static/explorers/{name}.css">'
            f'<div data-module="explorers/{name}.js" data-explorer="explorers/{whole}.json">'
            f'<img src="{up}_static/explorers/{whole}.png" alt="{html.escape(picture.alt)}"></div>'
        )

    return write


def explorer_call(source):
    """(name, whether it shows recorded GPT-2, settings) of the explorer that some code makes; None where it makes none.

    Where the lesson computes a setting, that of OPENS_ON is taken instead.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in NAMES:
            name, recorded = ast.unparse(node.func), "recorded_gpt2" in ast.unparse(node)
            written = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
            return name, recorded, written if recorded else OPENS_ON.get(name, {}) | written
    return None


def write_downloads(name, folder):
    """The notebook as students get it, and the one with solutions, to be downloaded."""
    (folder / "solutions").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(NOTEBOOKS / f"{name}.ipynb", folder / f"{name}.ipynb")
    shutil.copyfile(NOTEBOOKS / "solutions" / f"{name}.ipynb", folder / "solutions" / f"{name}-solutions.ipynb")


def table(lessons):
    """The lessons with their questions and times."""
    rows = ["| | lesson | question | minutes |", "| --- | --- | --- | --- |"]
    for name, notebook in lessons.items():
        number, title = re.match(r"# (\d+) · (.*)", notebook.cells[0].source).groups()
        question = re.search(r"^\*(.+?)\*$", notebook.cells[0].source, re.MULTILINE | re.DOTALL)[1]
        time = re.search(r"about (\d+) minutes", notebook.cells[0].source)
        question = " ".join(question.split())
        rows.append(f"| {number} | [{title}](lessons/{name}.ipynb) | {question} | {time[1] if time else 'open'} |")
    return "\n".join(rows)


def page(name, notebook, place):
    """A lesson as a page: with alternative texts, with answers to predictions folded, and with a place per explorer."""
    for cell in notebook.cells:
        cell.metadata.setdefault("tags", [])
        if cell.cell_type == "code":
            fold(cell)
            describe(cell)
            if call := explorer_call(cell.source):
                cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": place(call, name)})]
            cell.outputs = [without_script(output) for output in cell.outputs if not is_explorer(output)]
    downloads = (
        f"Every output on this page comes from *mini* unless it names another model. "
        f"{{download}}`Download this notebook </download/{name}.ipynb>` · "
        f"{{download}}`with solutions </download/solutions/{name}-solutions.ipynb>`"
    )
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(downloads))
    notebook.cells.append(nbformat.v4.new_markdown_cell(f"**headlab in this lesson:** {uses(notebook)}"))
    return notebook


def is_explorer(output):
    """Whether an output is an explorer with all its numbers: a page has a place for each explorer already."""
    return "headlab-page" in output.get("data", {}).get("text/html", "")


def without_script(output):
    """A prediction's form without the script of a saved page: the site has its own."""
    if "<fieldset" in output.get("data", {}).get("text/html", ""):
        output["data"]["text/html"] = output["data"]["text/html"].partition("<script>")[0]
    return output


def fold(cell):
    """What JupyterLab folds: the output is folded here, too; the source of a question is left out."""
    folded = cell.metadata.get("jupyter", {})
    if folded.get("source_hidden"):
        cell.metadata.tags.append("remove-input")
    if folded.get("outputs_hidden"):
        cell.metadata.tags.append("hide-output")


def describe(cell):
    """myst-nb takes a picture's alternative text from the cell, not from the output."""
    pictures = [output for output in cell.outputs if "image/png" in output.get("data", {})]
    words = [output.metadata["image/png"]["alt"] for output in pictures]
    if words:
        cell.metadata["mystnb"] = {"image": {"alt": " ".join(words)}}


def uses(notebook):
    """Links to the functions of headlab that a notebook imports."""
    links = []
    for module, name in imported(notebook):
        has_a_page = module.removeprefix("headlab.") in MODULES
        documented = has_a_page and callable(getattr(importlib.import_module(module), name))
        links.append(f"{{py:obj}}`{name} <{module}.{name}>`" if documented else f"`{name}`")
    return ", ".join(links)


def imported(notebook):
    """(module, name) for each name of headlab that a notebook imports."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    for node in ast.walk(ast.parse(re.sub(r"^[%!].*$", "", code, flags=re.MULTILINE))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("headlab"):
            yield from ((node.module, alias.name) for alias in node.names)


def write_api(lessons, folder):
    """A page for each module."""
    folder.mkdir()
    used = {}
    for name, notebook in lessons.items():
        for module, _ in imported(notebook):
            used.setdefault(module, set()).add(name)
    for place, module in enumerate(MODULES):
        named = f"headlab.{module}"
        links = ", ".join(f"[lesson {int(name[:2])}](../lessons/{name}.ipynb)" for name in sorted(used.get(named, ())))
        text = f"# {module}\n\n" + (f"Used in {links}.\n\n" if links else "")
        text += f"```{{eval-rst}}\n.. automodule:: {named}\n   :members:\n```\n"
        (folder / f"{place:02}_{module}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(build(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "site"))
