"""Checks for the exercises: each runs a reader's function and says, in one line, what is wrong with it."""

import re
from dataclasses import replace

import numpy as np
from IPython import get_ipython

from headlab._expect import expect, expect_full_precision
from headlab._settings import as_torch_starts
from headlab.exercises.engine import Exercise, Verdict, judge
from headlab.exercises.own import own_task

with as_torch_starts():  # the cases are made here
    from headlab.exercises import lesson1, lesson2, lesson3, lesson4, lesson5, lesson6, lesson7, lesson8

__all__ = ["EXERCISES", "LESSONS", "check", "own_task", "tell_syntax_error"]
LESSONS = (lesson1, lesson2, lesson3, lesson4, lesson5, lesson6, lesson7, lesson8)
EXERCISES: dict[str, Exercise] = {
    number: exercise for lesson in LESSONS for number, exercise in lesson.EXERCISES.items()
}


def check(number, function, *loaded):
    """Run a reader's function on an exercise's cases and say what is right or wrong with it.

    number: the exercise, such as "1.2"; function: the reader's own; loaded: what the lesson measured on the loaded
    model, the arguments of one more case, whose right answer is computed from them. Returns a Verdict, which a notebook
    shows as one line. Raises ValueError where there is no such exercise.
    Introduced in lesson 1.

    >>> check("1.1", lambda n_tokens: torch.ones(n_tokens, n_tokens))
    ✗ Exercise 1.1: expected True and False of shape (1, 1), got numbers of shape (1, 1)
    """
    known = isinstance(number, str) and number in EXERCISES
    expect(known, "number", f"one of {', '.join(EXERCISES)}", repr(number))
    exercise = EXERCISES[number]
    if loaded:
        exercise = replace(exercise, cases=(*exercise.cases, loaded))
    expect_full_precision("cpu")  # or right answers and mistakes could round to the same
    with as_torch_starts(), np.errstate(all="ignore"):
        return Verdict(number, *judge(exercise, function))


def tell_syntax_error(result):
    """Say in a sentence where Python could not read an exercise's cell; result: IPython's of a cell that has run."""
    error, number = result.error_before_exec, re.search(r"""check\(["'](\d\.\d+)""", result.info.raw_cell or "")
    if isinstance(error, SyntaxError) and number:
        line = f" `{error.text.strip()}`" if error.text else ""
        place = f"cannot read line {error.lineno} of this cell,{line}: {error.msg}"
        print(Verdict(number[1], "not yet", f"Python {place}. Nothing of the cell was run"))


if shell := get_ipython():
    shell.events.register("post_run_cell", tell_syntax_error)
