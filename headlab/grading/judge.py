"""The verdict on one notebook: what each exercise and the student's own task earn, and why."""

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from headlab.exercises import EXERCISES
from headlab.exercises.engine import _same, assess
from headlab.exercises.own import own_task, same_name
from headlab.grading.fresh import fresh_exercise
from headlab.grading.own_answers import is_right, right_answer
from headlab.grading.sandbox import LIMITS, run_function, run_values

STUDENT = "student"  # the name in the notebook of the cell that draws the own task
OTHER_MODELS = ("mini", "random", "gpt2")
UNSEEN = "right on the inputs of the check that you saw, but not on others: "


@dataclass(frozen=True)
class Mark:
    """What one item earned: points out of possible; the status, "passed", "not yet" or "not attempted"; why; and notes.

    code is the same for functions that differ only in comments and layout, and "" where there is no function.
    """

    number: str
    points: int
    possible: int
    status: str
    message: str
    notes: tuple[str, ...] = ()
    code: str = ""


def judge_cells(lesson, cells, student, seed, model="mini", limits=LIMITS):
    """The Mark of every item of a Lesson, for the code cells that a student handed in.

    student: the name under which the work came; seed: of the cases that no student has seen; model: the class's.
    """
    marks = [
        _own(lesson, item, cells, student, model, limits) if item.own else _exercise(lesson, item, cells, seed, limits)
        for item in lesson.items
    ]
    return tuple(replace(mark, message=" ".join(mark.message.split())) for mark in marks)


def _exercise(lesson, item, cells, seed, limits):
    seen = run_function(cells, item.name, item.number, seed, limits)
    status, message = _verdict(item.number, seed, seen)
    beyond = set(seen.get("calls", ())) - _rightful(lesson, item, seed)
    notes = (f"it calls {', '.join(sorted(beyond))}; your teacher decides whether that counts",) if beyond else ()
    points = item.points if status == "passed" else 0
    return Mark(item.number, points, item.points, status, message, notes, seen.get("code", ""))


def _verdict(number, seed, seen):
    if "missing" in seen or "ended" in seen:
        return ("not attempted" if "missing" in seen else "not yet"), seen.get("missing") or seen["ended"]
    visible = assess(EXERCISES[number], seen["visible"], lambda: False)
    if visible[0] != "passed" or "fresh" not in seen:
        return visible
    exercise, first = fresh_exercise(number, seed), seen["fresh"].results[:1]
    status, message = assess(exercise, seen["fresh"], lambda: not _same(first, seen["again"], exercise.tolerance))
    return status, message if status == "passed" else UNSEEN + message


@cache
def _rightful(lesson, item, seed):
    """The functions of headlab's that the lesson's own solution calls."""
    seen = run_function(list(lesson.cells), item.name, item.number, seed)
    status, message = _verdict(item.number, seed, seen)
    if status != "passed":
        raise ValueError(f"exercise {item.number}: expected the lesson's own solution to pass, got: {message}")
    return frozenset(seen["calls"])


def check_lesson(lesson, seed):
    """Raise ValueError unless the lesson's own solutions pass on the cases that seed draws."""
    for item in lesson.items:
        if not item.own:
            _rightful(lesson, item, seed)


def _own(lesson, item, cells, student, model, limits):
    def mark(status, message, *notes):
        return Mark(item.number, item.points if status == "passed" else 0, item.points, status, message, notes)

    told = run_values(cells, [STUDENT, item.name], model, limits)
    value, named = told.get(item.name), told.get(STUDENT)
    if "ended" in told:
        return mark("not yet", told["ended"])
    if item.name not in told:
        return mark("not attempted", told["missing"])
    if value is None or type(value).__name__ == "ellipsis":
        return mark("not attempted", "not attempted yet")
    number = _number(value)
    if number is None:
        return mark("not yet", f"{item.name} should be one number; this is of type {type(value).__name__}")
    right = right_answer(own_task(lesson.number, student), model)
    if is_right(number, right):
        return mark("passed", "right")
    if isinstance(named, str) and same_name(named) and same_name(named) != same_name(student):
        if is_right(number, right_answer(own_task(lesson.number, named), model)):
            note = "the answer belongs to a task drawn for another name"
            return mark("not yet", f"this is the answer to another name's task: set {STUDENT} to your own name", note)
    for other in OTHER_MODELS:
        if other != model and _here(other) and is_right(number, right_answer(own_task(lesson.number, student), other)):
            return mark("not yet", f"this is the answer on {other}: the class works on {model}")
    return mark("not yet", f"this is {number:.4g}, which is not the answer to the task that your name draws")


def _number(value):
    """A number, or the one number in a tensor or an array, as a float; else None."""
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        value = value.item() if math.prod(value.shape) == 1 else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _here(name):
    if name != "gpt2":
        return True
    from headlab import download

    return bool(download.find(download.repo_of(name)))
