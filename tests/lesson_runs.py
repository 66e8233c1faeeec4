"""A lesson's solutions run cell by cell in this process, on a chosen model, and what its code said of that model.

SAID is the committed table of those sentences: a change of what a reader is told shows in review. With HEADLAB_UPDATE=1
the tests rewrite it, and the seconds that the cells take, before they compare.
"""

import csv
import gc
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from filelock import FileLock
from hybrid import make_hybrid
from ipywidgets import Widget
from transformers import GPT2Tokenizer

from headlab import predict, says

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from build_notebooks import notebook_of  # noqa: E402
from lesson_cells import SECONDS  # noqa: E402

MASTERS = {master.stem: master for master in sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))}
SAID = ROOT / "lessons" / "said.csv"
MODELS = ("mini", "random", "hybrid", "recorded")
UPDATE = os.environ.get("HEADLAB_UPDATE") == "1"
NUMBER = re.compile(r"(?<![A-Za-z\d])-?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")  # but not those of a name such as L3H5


def save_hybrid(reference, folder):
    """The hybrid as a folder that load_model can be given."""
    make_hybrid(reference).save_pretrained(folder)
    GPT2Tokenizer.from_pretrained(reference / "tokenizer").save_pretrained(folder)


@contextmanager
def listening():
    """Collects what `says` and each reveal chose: pairs (branch of so many, sentence)."""
    heard, first_true, tell = [], says.first_true, predict._Question._tell

    def chosen(branches):
        place = first_true(branches)
        heard.append((f"{place + 1} of {len(branches)}", branches[place][-1]))
        return place

    def told(question, *lines):
        heard.append(("reveal", lines[0]))
        tell(question, *lines)

    says.first_true, predict._Question._tell = chosen, told
    try:
        yield heard
    finally:
        says.first_true, predict._Question._tell = first_true, tell


def _draw():
    """Figures are drawn only where the time that takes is measured: the notebooks' own run draws them on mini."""
    for number in plt.get_fignums() if UPDATE else ():
        plt.figure(number).savefig(BytesIO(), bbox_inches="tight")
    plt.close("all")


@contextmanager
def as_it_was():
    """Random states and Matplotlib's settings, which lessons change, as they were."""
    state, show, folder = np.random.get_state(), plt.show, os.getcwd()  # noqa: NPY002
    plt.show = _draw
    try:
        with torch.random.fork_rng(devices=[]), matplotlib.rc_context():
            yield
    finally:
        plt.close("all")
        plt.show = show
        np.random.set_state(state)  # noqa: NPY002
        os.chdir(folder)


def run(master, change=str):
    """Run every code cell of a master's solutions; returns what was heard and the processor's seconds it took.

    change: from a cell's source to what is run in its place.
    """
    cells = [cell.source for cell in notebook_of(master, solutions=True).cells if cell.cell_type == "code"]
    namespace = {"__name__": "__main__"}
    start = time.process_time()  # a busy machine does not slow it down
    fresh = _seconds_afresh(cells[0]) if UPDATE and change is str else 0.0
    with as_it_was(), listening() as heard:
        for place, source in enumerate(cells):
            exec(compile(change(source), f"<{master.stem}, code cell {place}>", "exec"), namespace)
    seconds = fresh + time.process_time() - start
    namespace.clear()
    Widget.close_all()  # ipywidgets keeps every widget, and so the explorer and its model
    gc.collect()
    return heard, seconds


def _seconds_afresh(source):
    """The processor's seconds that a cell takes in a fresh process: the first one imports torch, here long done."""
    before = os.times()
    subprocess.run([sys.executable, "-c", source], check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def look_at(name, model, monkeypatch, change=str):
    """Run a lesson on a model, "mini", "random" or the hybrid's folder; returns where it said other than SAID."""
    monkeypatch.setenv("HEADLAB_MODEL", str(model))
    heard, seconds = run(MASTERS[name], change)
    column = model if model in MODELS else "hybrid"
    if UPDATE:
        write_said(name, column, heard)
        write_seconds(name, column, seconds)
    return differences(heard, said(name, column))


def differences(heard, expected):
    """[(place, heard, expected)] where another branch was taken or other words were said; numbers may differ by 5 %."""
    longer = max(len(heard), len(expected))
    pairs = [(list(heard) + [None] * longer)[:longer], (list(expected) + [None] * longer)[:longer]]
    return [(place, h, e) for place, (h, e) in enumerate(zip(*pairs, strict=True)) if not alike(h, e)]


def alike(a, b):
    """Whether two sentences say the same of numbers that are about the same: other machines round differently."""
    return a is not None and b is not None and a[0] == b[0] and same_text(a[1], b[1], 0.05, 0.02)


def same_text(a, b, relative, absolute):
    """Whether two texts differ by no more than their numbers, and these by no more than this."""
    if NUMBER.sub("#", a) != NUMBER.sub("#", b):
        return False
    numbers = ([float(n.replace(",", "")) for n in NUMBER.findall(text)] for text in (a, b))
    return all(math.isclose(x, y, rel_tol=relative, abs_tol=absolute) for x, y in zip(*numbers, strict=True))


def kept(table, heading, rows):
    """The rows that a table holds, as lists of texts; with HEADLAB_UPDATE=1 it is rewritten with these rows first."""
    if UPDATE:
        with open(table, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([heading, *rows])
    with open(table, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def said(name, model):
    """[(branch, sentence)] of one lesson and one model in the table."""
    with open(SAID, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["lesson"] == name and row["model"] == model]
    return [(row["branch"], row["sentence"]) for row in rows]


def write_said(name, model, heard):
    """Put what was heard in the table, in the place of what stood there."""
    places = [
        {"lesson": name, "place": p, "model": model, "branch": b, "sentence": s} for p, (b, s) in enumerate(heard)
    ]
    _rewrite(SAID, ("lesson", "place", "model", "branch", "sentence"), name, model, places)


def write_seconds(name, model, seconds):
    """Put the seconds in the table of lesson_cells, in fives upwards; the hybrid is as large as GPT-2."""
    shown = {"mini": "mini", "hybrid": "GPT-2"}.get(model)
    if shown:
        row = {"lesson": name, "model": shown, "seconds": 5 * math.ceil(seconds / 5)}
        _rewrite(SECONDS, ("lesson", "model", "seconds"), name, shown, [row])


def _rewrite(path, fields, name, model, rows):
    order = [*MODELS, "GPT-2"]
    with FileLock(Path(tempfile.gettempdir()) / "headlab-lessons.lock"):  # models may run side by side
        with open(path, newline="", encoding="utf-8") as file:
            kept = [row for row in csv.DictReader(file) if (row["lesson"], row["model"]) != (name, model)]
        rows = [row for row in [*kept, *rows] if row["lesson"] in MASTERS]
        # What was said of the recordings stands apart: some of it is left out, so that the places are others.
        rows.sort(
            key=lambda row: (
                row["lesson"],
                row["model"] == "recorded",
                int(row.get("place", 0)),
                order.index(row["model"]),
            )
        )
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, fields, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
