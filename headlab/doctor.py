"""What `headlab doctor` checks: all that the first cells of a lesson need, in the kernel that will run them."""

import io
import json
import os
import platform
import sys
import tempfile
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from headlab._expect import shown
from headlab.hub_errors import this_python

MEMORY_NEEDED = {"the lessons": 2, "GPT-2": 3}  # GiB free, measured with room to spare
STARTS_WITHIN, ANSWERS_WITHIN = 60, 300  # seconds, for a kernel and for what it is asked
FINDING = "headlab-doctor:"  # what the kernel writes before each finding
ASK_THE_KERNEL = f"""
import json, sys
print({FINDING!r}, json.dumps(sys.prefix))
from headlab import exercises, explorers, plots
from headlab.doctor import model_findings
for finding in model_findings():
    print({FINDING!r}, json.dumps(finding))
"""


def findings():
    """(fine, line) of everything that was looked at, one after the other."""
    yield from _packages()
    yield from _widgets()
    yield from _memory()
    yield from _kernel()


def model_findings():
    """(fine, line) of the model that a lesson started here would load, and of the one that ships with headlab.

    Runs in the lessons' own kernel, so that environment, folder and packages are theirs.
    """
    from headlab.models import wished_model

    wish = wished_model()
    if wish != "mini":
        yield _loaded("mini")  # the stand-in, whose tokenizer the control has too
    yield from _lesson_model(wish)


def _lesson_model(wish):
    """What `load_model()` will do in a lesson; nothing is downloaded."""
    from headlab import download
    from headlab.models import find_folder

    said = f"HEADLAB_MODEL={wish}: " if wish else ""
    try:
        folder, repo = (None, None) if wish == "random" else find_folder(wish or "gpt2")
    except ValueError as error:
        yield False, f"{said}{error}"
        return
    if folder or not repo:
        fine, line = _loaded(wish or "gpt2")
        yield fine, f"{said}{line}"
        return
    problem = download.problem(repo)
    if not problem:
        yield True, f"{said}{wish or 'gpt2'} is not on this machine; the first lesson downloads it"
    elif wish:
        yield (
            False,
            f"{said}{wish} is neither on this machine nor a folder in {os.getcwd()}, "
            f"and cannot be downloaded: {problem}",
        )
    else:
        yield True, f"gpt2 is not on this machine, so the lessons show mini; it cannot be downloaded now: {problem}"


def _loaded(name):
    """Whether a model loads, and a text goes through it."""
    from headlab.capture import capture_heads
    from headlab.models import load_model, too_small

    notes = io.StringIO()
    try:
        with redirect_stdout(notes):
            model, tokenizer = load_model(name)
        capture_heads(model, tokenizer("The old man looked at the sea.", return_tensors="pt").input_ids)
    except Exception as error:  # Whatever would stop a lesson is to be told here.
        return False, _one_line(error)
    size = f"{model.config.n_layer} layers of {model.config.n_head} heads, {model.config.n_positions} positions"
    if too_small(model):
        return False, f"{name} loads, but {too_small(model)}"
    return True, " ".join([f"{name} loads ({size})", *notes.getvalue().split()])


def _one_line(error):
    """An error as one line; headlab's own are one already."""
    return " ".join(str(error).split())[:500] or type(error).__name__


def _kernel():
    """What the kernel that notebooks start says of itself, and of the model that its lessons will load."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return  # one of the packages above
    remedy = f"run: {this_python()} -m ipykernel install --sys-prefix"
    try:
        starts = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        yield False, f"there is no kernel 'python3'; {remedy}"
        return
    try:
        told = _ask_the_kernel()
    except (OSError, RuntimeError, TimeoutError) as error:
        yield False, f"the kernel 'python3' ({starts}) does not start: {shown(error)}; {remedy}"
        return
    prefix, *model_lines = told or [None]
    ours = prefix is not None and os.path.realpath(prefix) == os.path.realpath(sys.prefix)
    yield ours, f"the kernel 'python3' starts {'this Python' if ours else f'another Python, of {prefix}; {remedy}'}"
    yield from map(tuple, model_lines)


def _ask_the_kernel():
    """What the kernel finds: the folder of its Python, then (fine, line) for each model. Started where lessons are."""
    from jupyter_client.manager import KernelManager

    manager, lines, broken = KernelManager(kernel_name="python3"), [], []

    def hear(message):
        content = message["content"]
        if message["msg_type"] == "stream":
            lines.extend(content["text"].splitlines() if content["name"] == "stdout" else [])
        elif message["msg_type"] == "error":
            broken.append(f"{content['ename']}: {content['evalue']}")

    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        manager.start_kernel(cwd=str(lesson_folder()), stderr=errors)
        client = manager.client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=STARTS_WITHIN)
            client.execute_interactive(ASK_THE_KERNEL, timeout=ANSWERS_WITHIN, output_hook=hear, allow_stdin=False)
        except RuntimeError as error:
            errors.seek(0)
            raise RuntimeError((errors.read().strip().splitlines() or [str(error)])[-1]) from error
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    found = [json.loads(line.removeprefix(FINDING)) for line in lines if line.startswith(FINDING)]
    return found + [(False, f"the first cells of a lesson raise {shown(line)}") for line in broken]


def lesson_folder():
    """Where the lessons are that are started from here: a kernel runs in its notebook's folder."""
    places = (Path("my-lessons"), Path("notebooks"))
    return next((place.absolute() for place in places if any(place.glob("*.ipynb"))), Path.cwd())


def _packages():
    """Python and every package headlab needs, each against the range that headlab asks for."""
    yield (3, 11) <= sys.version_info < (3, 14), f"Python {platform.python_version()} (3.11 to 3.13 wanted)"
    for text in requires("headlab") or []:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            found = None
        fine = found is not None and wanted.specifier.contains(found, prereleases=True)
        remedy = "" if fine else f"; run: {this_python()} -m pip install '{wanted}'"
        yield fine, f"{wanted.name} {found or 'is missing'} ({wanted.specifier} wanted){remedy}"


def _widgets():
    """Whether the widgets' two halves fit each other."""
    page, kernel_side = _version("jupyterlab_widgets"), _version("ipywidgets")
    # ipywidgets 8 speaks to jupyterlab_widgets 3, and nothing else does.
    fine = kernel_side.split(".")[0] == "8" and page.split(".")[0] == "3"
    command = f"{this_python()} -m pip install --upgrade ipywidgets jupyterlab_widgets"
    remedy = "" if fine else f"; run: {command}, and restart JupyterLab"
    yield fine, f"widgets: ipywidgets {kernel_side} in the kernel, jupyterlab_widgets {page} in the page{remedy}"


def _memory():
    """Whether enough memory is free for a lesson."""
    free = psutil.virtual_memory().available / 2**30
    need = MEMORY_NEEDED["the lessons"]
    yield free >= need, f"{free:.1f} GiB of memory free ({need} wanted, {MEMORY_NEEDED['GPT-2']} with GPT-2)"


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
