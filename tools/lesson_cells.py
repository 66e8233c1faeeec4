"""How a master is written, and what the build changes in it before running it.

A **prediction** is a code cell of its own that calls `predict` or `predict_number`; the measurement follows, and the
cell after it (or the measurement's own, at its end) calls `reveal`. In the student's notebook the build folds the
outputs from the prediction to its reveal, and the source of these two cells. JupyterLab still shows the first line of
whatever is folded: write the calls over several lines, and let a measurement first print a line without values.

An **exercise** is a section of three or four cells: its text, its hints, the code and, only in the solutions' notebook,
remarks. Text, hints and code have this form; both hints are in one cell, and neither gives the answer:

    # %% [markdown]
    # ### Exercise 1.2 · From scores to pattern
    #
    # *Difficulty 2 of 5 · importance 5 of 5 · about 5 minutes*
    #
    # Turn raw scores (..., query, key) into a causal pattern of the same shape.

    # %% [markdown] tags=["hint"]
    # <details><summary>Hint 1: a nudge</summary>
    #
    # Which of the two has to come first, the mask or the softmax?
    # </details>
    #
    # <details><summary>Hint 2: the idea</summary>
    #
    # A score of minus infinity gets a share of exactly 0.
    # </details>

    # %% tags=["exercise"]
    def my_pattern(scores):
        ### BEGIN SOLUTION
        ...
        ### END SOLUTION


    check("1.2", my_pattern)

**Cells tagged "optional"** are an appendix, and the lesson says so. `{{minutes}}` in a master becomes the lesson's time
in minutes, computed from WORDS, LINES and PREDICTION below, from what each exercise says, and from the time that the
cells take to run; `{{seconds}}` becomes that time, for mini and for GPT-2. It is read from the file SECONDS, which
tests/lesson_runs.py rewrites if HEADLAB_UPDATE=1 is set.
"""

import ast
import csv
import math
import re
from pathlib import Path

WORDS = 180  # read in a minute
LINES = 15  # of code read in a minute, comments and empty lines not counted
PREDICTION = 1  # minutes to read a question and commit oneself
MOST_MINUTES = 60
SECONDS = Path(__file__).parents[1] / "lessons" / "seconds.csv"

EXERCISE = re.compile(r"^### Exercise (\d\.\d+) · .*[^)]$", re.MULTILINE)
EFFORT = re.compile(r"^\*Difficulty ([1-5]) of 5 · importance ([1-5]) of 5 · about (\d+) minutes\*$", re.MULTILINE)
HINTS = ["Hint 1: a nudge", "Hint 2: the idea"]
VALUE = re.compile(r"(?<![\w-])[-+]?\d|\b(True|False|nan|inf)\b")  # as measurements print them; not GPT-2, not L0H5


def fold_predictions(cells):
    """In a student's cells, fold what would give a prediction's answer away, until the reader runs it.

    From a cell that calls predict or predict_number up to the one that calls reveal, code cells have their outputs
    folded; JupyterLab unfolds them when they are run. The source of these two cells is folded too, since it names the
    answer and is no part of the lesson; that of a reveal only where the measurement has a cell of its own before it.
    """
    for cell, source, outputs in _predictions(cells):
        folded = {name: True for name, wanted in (("source_hidden", source), ("outputs_hidden", outputs)) if wanted}
        if folded:
            cell.metadata["jupyter"] = {**cell.metadata.get("jupyter", {}), **folded}


def given_away(cell):
    """The line that JupyterLab shows of a cell's folded output, if it gives a value away; else None."""
    if not (cell.get("metadata", {}).get("jupyter", {}).get("outputs_hidden") and cell.get("outputs")):
        return None
    output = cell.outputs[0]
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    line = next((line for line in text.splitlines() if line), "")
    harmless = line.startswith(("Prediction: ", "<"))  # the question; a figure's size
    return line if VALUE.search(line) and not harmless else None


def _predictions(cells):
    """(code cell, whether its source is to be folded, whether its outputs are) for every code cell."""
    waiting = measured = False
    for cell in (cell for cell in cells if cell.cell_type == "code"):
        called = _called(cell.source)
        if called & {"predict", "predict_number"}:
            yield cell, True, False
            waiting, measured = True, False
        else:
            revealed = waiting and "reveal" in called
            yield cell, revealed and measured, waiting
            waiting, measured = waiting and not revealed, True


def _called(source):
    """The names of the functions and methods that a cell calls."""
    functions = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {getattr(function, "attr", getattr(function, "id", None)) for function in functions}


def format_faults(cells):
    """What is wrong with the form of a student's cells: exercises, hints and predictions, one line each."""
    found = []
    for section in _exercises(cells):
        title = section[0].source.splitlines()[0]
        if not EXERCISE.match(title):
            found.append(f"{title!r}: expected '### Exercise 1.2 · Title', without brackets at its end")
        if len(EFFORT.findall(section[0].source)) != 1:
            found.append(f"{title!r}: expected a line '*Difficulty 2 of 5 · importance 5 of 5 · about 5 minutes*'")
        tagged = [cell for cell in section if "hint" in cell.metadata.get("tags", [])]
        if [re.findall("<summary>(.*)</summary>", cell.source) for cell in tagged] != [HINTS]:
            found.append(f"{title!r}: expected one cell tagged hint, with {HINTS}")
    buried = [cell for cell in cells if cell.cell_type == "markdown" and "\n### Exercise" in cell.source]
    found += [f"{cell.source[:40]!r}: expected each exercise's heading to begin a cell" for cell in buried]
    called = [_called(cell.source) for cell in cells if cell.cell_type == "code"]
    asked = sum(len(names & {"predict", "predict_number"}) for names in called)
    revealed = sum("reveal" in names for names in called)
    if asked != revealed:
        found.append(f"expected a cell with a reveal for each prediction, got {revealed} for {asked}")
    for cell, source, _ in _predictions(cells):
        if source and len(cell.source.splitlines()[0]) > 90:
            found.append(f"{cell.source[:40]!r}: expected a first line that gives nothing away, of at most 90 letters")
    return found


def _exercises(cells):
    """The cells of each exercise, from its heading to the next heading."""
    sections, inside = [], False
    for cell in cells:
        if cell.cell_type == "markdown" and re.match("#{1,3} ", cell.source):
            inside = cell.source.startswith("### Exercise")
            if inside:
                sections.append([])
        if inside:
            sections[-1].append(cell)
    return sections


def minutes(cells, seconds):
    """{part: minutes} that a lesson's cells need, unrounded; seconds: {model: seconds} that they take to run.

    Counted are words, code and predictions outside the exercises, the time that each exercise states, and the slowest
    model's seconds.
    """
    cells = [cell for cell in cells if not {"optional", "solution"} & set(cell.metadata.get("tags", []))]
    apart = {id(cell) for section in _exercises(cells) for cell in section}
    rest = [cell for cell in cells if id(cell) not in apart]
    words = sum(len(_words(cell.source)) for cell in rest if cell.cell_type == "markdown")
    lines = sum(_n_lines(cell.source) for cell, folded, _ in _predictions(rest) if not folded)
    asked = sum(bool(_called(cell.source) & {"predict", "predict_number"}) for cell in rest if cell.cell_type == "code")
    stated = [int(effort[3]) for section in _exercises(cells) for effort in EFFORT.finditer(section[0].source)]
    return {
        "words": words / WORDS,
        "code": lines / LINES,
        "predictions": asked * PREDICTION,
        "exercises": sum(stated),
        "cells": max(seconds.values(), default=0) / 60,
    }


def _words(text):
    """The words of a markdown text that a reader reads: without tags, addresses and the lines of tables."""
    text = re.sub(r"<[^>]+>|\]\([^)]*\)", " ", text)
    return [word for word in text.split() if re.search(r"\w", word)]


def _n_lines(source):
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in source.splitlines())


def rounded(parts):
    """A lesson's time as it is stated: in minutes, rounded up to a multiple of five."""
    return 5 * math.ceil(sum(parts.values()) / 5)


def seconds_of(name):
    """{model: seconds} that the cells of a lesson took when they were last measured; empty where they never were."""
    with open(SECONDS, newline="", encoding="utf-8") as file:
        return {row["model"]: int(row["seconds"]) for row in csv.DictReader(file) if row["lesson"] == name}


def state_time(cells, name):
    """Replace {{minutes}} and {{seconds}} by a lesson's times."""
    seconds = seconds_of(name)
    told = " and ".join(f"{value} s with {model}" for model, value in seconds.items())
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("{{minutes}}", str(rounded(minutes(cells, seconds))))
            cell.source = cell.source.replace("{{seconds}}", told)
