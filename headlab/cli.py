"""The headlab command: `headlab doctor`, `headlab download gpt2` and `headlab profile`."""

import argparse
import platform
import signal
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement

MEMORY_NEEDED = {"the lessons": 2, "GPT-2": 3}  # GiB free, measured with room to spare
MINI_INSTEAD = "Note: the lessons will show mini, which ships with headlab."


def main(arguments=None):
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="headlab", description="GPT-2's attention heads taken apart.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="say whether the lessons will run here, and what to do where they will not")
    get = commands.add_parser("download", help="bring a GPT-2 to this machine, once")
    get.add_argument(
        "model", nargs="?", default="gpt2", help="gpt2 (548 MB), gpt2-medium, gpt2-large, gpt2-xl or an id"
    )
    get.add_argument(
        "--if-reachable", action="store_true", help="do nothing, and say so, where the hub does not answer"
    )
    count = commands.add_parser("profile", help="count the scores of every head over many texts; resumes by itself")
    count.add_argument("--model", default="auto", help="mini, gpt2, random, an id or a folder (as HEADLAB_MODEL says)")
    count.add_argument("--texts", nargs="+", required=True, metavar="FILE", help="texts in UTF-8, of any length")
    count.add_argument("--out", required=True, metavar="FILE", help="where the counts go, and are found again")
    where = count.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, metavar="N", help="so many processes here (needs headlab[cluster])")
    where.add_argument(
        "--scheduler", metavar="ADDRESS", help="a Dask scheduler that is running (needs headlab[cluster])"
    )
    options = parser.parse_args(arguments)
    if options.command == "doctor":
        return doctor()
    if options.command == "download":
        return download_model(options.model, options.if_reachable)
    return profile(options.model, options.texts, options.out, options.workers, options.scheduler)


def download_model(name, if_reachable=False):
    """Download a model unless it is here; 0 where it is here at the end or need not be, else 1 and a line."""
    from headlab import download

    try:
        repo = download.repo_of(name)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    folder = download.find(repo)
    if folder:
        print(f"{name} is on this machine: {folder}")
        return 0
    problem = download.problem() if if_reachable else None
    if problem:
        print(f"{MINI_INSTEAD} GPT-2 cannot be downloaded: {problem}.")
        return 0
    try:
        folder = download.download(repo)
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on from there.", file=sys.stderr)
        return 130
    except OSError as error:
        if if_reachable:
            print(f"{MINI_INSTEAD} {error}.")
            return 0
        print(error, file=sys.stderr)
        return 1
    print(f"{name} is on this machine now: {folder}")
    return 0


def profile(name, texts, out, workers=None, scheduler=None):
    """Count the scores of texts into a file and print what came out by layer; 1 and a line where that cannot be."""
    from headlab.streaming import profile_texts

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that being ended is being interrupted
    try:
        histogram = profile_texts(name, texts, out, workers, scheduler)
        medians_of = histogram.quantile(0.5)
    except KeyboardInterrupt:
        found = f"{out} has what was counted" if Path(out).exists() else "nothing was counted yet"
        print(f"Interrupted; {found}. The same command goes on from there.", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    n = histogram.n
    print(f"{out}: {n.sum():,} raw scores of {histogram.model}, from {len(histogram.counted):,} pieces of text")
    print("layer  negative  medians of its heads")
    negative = (n * histogram.fraction_negative()).sum(axis=1) / n.sum(axis=1)
    for layer, share, medians in zip(histogram.layers, negative, medians_of, strict=True):
        print(f"{layer:5}  {share:8.1%}  {medians.min():.2f} to {medians.max():.2f}")
    return 0


def doctor():
    """Print what was looked at, one line each, and return 1 where a lesson would not run."""
    findings = [*_packages(), *_jupyter(), *_models(), *_memory()]
    for fine, line in findings:
        print(f"{'ok  ' if fine else 'BAD '} {line}")
    bad = sum(not fine for fine, _ in findings)
    print("The lessons will run here." if not bad else f"{bad} thing(s) to mend before the lessons run; see BAD above.")
    return 1 if bad else 0


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
        remedy = "" if fine else f"; run: {Path(sys.executable).name} -m pip install '{wanted}'"
        yield fine, f"{wanted.name} {found or 'is missing'} ({wanted.specifier} wanted){remedy}"


def _jupyter():
    """Whether notebooks will start this Python, and whether the widgets' two halves fit each other."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        kernel = KernelSpecManager().get_kernel_spec("python3").argv[0]
        fine = kernel == "python" or Path(kernel).resolve() == Path(sys.executable).resolve()
        remedy = "" if fine else f"; run: {Path(sys.executable).name} -m ipykernel install --sys-prefix"
        yield fine, f"the kernel 'python3' starts {'this Python' if fine else kernel}{remedy}"
    except NoSuchKernel:
        yield False, "there is no kernel 'python3'; run: python -m ipykernel install --sys-prefix"
    page, kernel_side = _version("jupyterlab_widgets"), _version("ipywidgets")
    # ipywidgets 8 speaks to jupyterlab_widgets 3, and nothing else does.
    fine = kernel_side.split(".")[0] == "8" and page.split(".")[0] == "3"
    remedy = "" if fine else "; run: pip install --upgrade ipywidgets jupyterlab_widgets, and restart JupyterLab"
    yield fine, f"widgets: ipywidgets {kernel_side} in the kernel, jupyterlab_widgets {page} in the page{remedy}"


def _models():
    """Which models are here, and whether the one that has to be loads."""
    from headlab import download
    from headlab.models import load_model

    try:
        model, _ = load_model("mini")
        yield True, f"mini, the model that ships with headlab, loads ({model.config.n_layer} layers)"
    except (OSError, ValueError) as error:
        yield False, str(error)
    folder = download.find(download.GPT2)
    if not folder:
        yield True, "gpt2 is not on this machine, so the lessons show mini; to get it: headlab download gpt2"
        return
    try:
        load_model("gpt2")
        yield True, f"gpt2 loads from {folder}"
    except (OSError, ValueError) as error:
        yield False, str(error)


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
