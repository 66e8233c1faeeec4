"""The headlab command: `headlab doctor`, `headlab download gpt2` and `headlab profile`."""

import argparse
import signal
import sys
from pathlib import Path

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
    from headlab.doctor import findings

    bad = 0
    for fine, line in findings():
        print(f"{'ok  ' if fine else 'BAD '} {line}", flush=True)
        bad += not fine
    print("The lessons will run here." if not bad else f"{bad} thing(s) to mend before the lessons run; see BAD above.")
    return 1 if bad else 0
