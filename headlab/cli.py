"""The headlab command: `headlab doctor`, `download`, `lessons`, `profile`, `show` and, for teachers, `grade`."""

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path

MINI_INSTEAD = "Note: the lessons will show mini, which ships with headlab."


def main(arguments=None):
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="headlab", description="GPT-2's attention heads taken apart.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="say whether the lessons will run here, and what to do if not")
    get = commands.add_parser("download", help="download a GPT-2 to this machine, once")
    get.add_argument(
        "model", nargs="?", default="gpt2", help="gpt2 (548 MB), gpt2-medium, gpt2-large, gpt2-xl or an id"
    )
    get.add_argument("--if-reachable", action="store_true", help="do nothing, and say so, if the hub does not answer")
    copy = commands.add_parser("lessons", help="copy the notebooks to a folder of yours; existing files stay")
    copy.add_argument("folder", metavar="FOLDER", help="where the copies go, such as my-lessons")
    count = commands.add_parser("profile", help="count the scores of every head over many texts; resumes by itself")
    count.add_argument("--model", default="auto", help="mini, gpt2, random, an id or a folder (as HEADLAB_MODEL says)")
    count.add_argument(
        "--texts",
        nargs="+",
        required=True,
        metavar="FILE",
        help="texts in UTF-8, of any length; - is the standard input",
    )
    count.add_argument(
        "--out", required=True, metavar="FILE", help="the file for the counts, from which a later run continues"
    )
    where = count.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=int, metavar="N", help="the number of processes on this machine (needs headlab[cluster])"
    )
    where.add_argument("--scheduler", metavar="ADDRESS", help="a running Dask scheduler (needs headlab[cluster])")
    look = commands.add_parser("show", help="a table of what a file of counts holds, and a picture of it")
    look.add_argument("file", metavar="FILE", help="what headlab profile wrote")
    look.add_argument("--plot", metavar="FILE.png", help="draw every head's density, a panel for each layer")
    marks = commands.add_parser(
        "grade", help="for teachers: grade a class's notebooks of one lesson; resumes by itself"
    )
    marks.add_argument("folder", metavar="FOLDER", help="a folder or a notebook for each student, named after them")
    marks.add_argument("--lesson", type=int, required=True, metavar="N", help="1 to 8")
    marks.add_argument("--out", metavar="FOLDER", help="where marks and feedback go (grades/lessonN)")
    marks.add_argument("--model", default="mini", help="what the class works on: mini, gpt2, an id or a folder")
    marks.add_argument("--workers", type=int, default=2, metavar="N", help="how many students to grade at a time (2)")
    options = parser.parse_args(arguments)
    if options.command == "doctor":
        return doctor()
    if options.command == "download":
        return download_model(options.model, options.if_reachable)
    if options.command == "lessons":
        return lessons(options.folder)
    if options.command == "show":
        return show(options.file, options.plot)
    if options.command == "grade":
        out = options.out or f"grades/lesson{options.lesson}"
        return grade(options.folder, options.lesson, out, options.model, options.workers)
    return profile(options.model, options.texts, options.out, options.workers, options.scheduler)


def download_model(name, if_reachable):
    """Download a model unless it is here; 0 if it is here at the end or need not be, else 1 and one line."""
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
        print("Interrupted. Run the same command to continue.", file=sys.stderr)
        return 130
    except OSError as error:
        if if_reachable:
            print(f"{MINI_INSTEAD} {error}.")
            return 0
        print(error, file=sys.stderr)
        return 1
    print(f"{name} is on this machine now: {folder}")
    return 0


def lessons(folder):
    """Copy the notebooks to a folder; 1 and one line if that fails."""
    from headlab.lessons import copy_lessons

    try:
        copied, stay = copy_lessons(folder)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{folder}: lessons copied: {len(copied)}; there already, and left as they are: {len(stay)}")
    first = str(Path(folder, min(copied + stay)))
    print(f"To open the first: {shlex.join([sys.executable, '-m', 'jupyterlab', first])}")
    return 0


def profile(name, texts, out, workers=None, scheduler=None):
    """Count the scores of texts into a file and print a table by layer; 1 and one line if that fails."""
    from headlab.streaming import profile_texts

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ending this process interrupts it like Ctrl+C
    try:
        histogram = profile_texts(name, texts, out, workers, scheduler)
        medians_of = histogram.quantile(0.5)
    except KeyboardInterrupt:
        found = f"{out} has what was counted" if Path(out).exists() else "nothing was counted yet"
        print(f"Interrupted; {found}. Run the same command to continue.", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    _print_table(histogram, medians_of, out)
    print(f"To look at it again, with a picture: headlab show {shlex.quote(str(out))} --plot counts.png")
    return 0


def show(file, plot=None):
    """Print what a file of counts holds and draw it if asked; 1 and one line if that fails."""
    try:
        histogram = _loaded(file)
        _print_table(histogram, histogram.quantile(0.5), file)
        if plot:
            _draw(histogram, Path(plot))
            print(f"{plot}: drawn")
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def grade(folder, lesson, out, model="mini", workers=2):
    """Grade a class's notebooks and print where the marks are; 1 and one line if that fails."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from headlab.grading.grade import grade_folder

        _, results = grade_folder(folder, lesson, out, model, workers, told=lambda line: print(line, flush=True))
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("headlab.grading"):
            raise
        print("headlab grade: only the teacher's copy of the course has it", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; what was graded is kept. Run the same command to continue.", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    without = sum(bool(result.fault) for result in results)
    rest = f"; {without} could not be graded, see there" if without else ""
    print(f"{out}: grades.csv, feedback/ and summary.html of {len(results)} students{rest}")
    return 0


def _loaded(file):
    from headlab.histogram import ScoreHistogram

    try:
        return ScoreHistogram.load(file)
    except OSError as error:
        raise OSError(f"{file}: expected a file that headlab profile wrote, got: {error.strerror}") from error


def _print_table(histogram, medians, file):
    """What is counted, then a line for each layer; medians (layer, head)."""
    n, model, pieces = histogram.n, histogram.model or "an unnamed model", len(histogram.counted)
    texts = f", from {pieces:,} piece{'s' * (pieces > 1)} of text" if pieces else ""
    layers = f"{len(n)} layer{'s' * (len(n) != 1)} of {histogram.n_heads} head{'s' * (histogram.n_heads != 1)}"
    print(f"{file}: {n.sum():,} raw scores of {model}{texts}, {layers}")
    print("layer            scores  negative  medians of its heads")
    counted = n.sum(axis=1)
    negative = (n * histogram.fraction_negative()).sum(axis=1) / counted
    for place, layer in enumerate(histogram.layers):
        low, high = medians[place].min(), medians[place].max()
        print(f"{layer:5}  {counted[place]:16,}  {negative[place]:8.1%}  {low:.2f} to {high:.2f}")


def _draw(histogram, path):
    """Draw every head's density into a file, whole or not at all."""
    import matplotlib

    matplotlib.use("agg")  # a file needs no window
    import matplotlib.pyplot as plt

    from headlab._expect import expect
    from headlab.plots import plot_layers

    kinds = sorted(plt.gcf().canvas.get_supported_filetypes())
    kind = path.suffix.removeprefix(".").lower()
    expect(kind in kinds, "--plot", f"a file that ends in one of {', '.join(kinds)}", path)
    figure = plot_layers(histogram)[0].figure
    figure.suptitle(f"Raw scores of {histogram.model or 'an unnamed model'}: {histogram.n.sum():,}")
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, format=kind, dpi=120)
        os.replace(part, path)
    except OSError as error:
        raise OSError(f"{path}: expected room and the right to write, got: {error.strerror}") from error
    finally:
        plt.close(figure)
        part.unlink(missing_ok=True)


def doctor():
    """Print a line for everything that was checked; return 1 if a lesson would not run."""
    from headlab.doctor import findings

    bad = 0
    for fine, line in findings():
        print(f"{'ok  ' if fine else 'BAD '} {line}", flush=True)
        bad += not fine
    if bad:
        again = shlex.join([sys.executable, "-m", "headlab", "doctor"])
        print(f"{bad} thing(s) to repair before the lessons run; see BAD above. Then check again: {again}")
    else:
        print("The lessons will run here.")
    return 1 if bad else 0
