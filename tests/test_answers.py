"""Every check passes right answers in every style and no wrong one.

Beside the planted mistakes, which test_exercises.py looks at, each right answer is bent in some twenty ways. What a
person would write stands in answers/lessonN.py: RIGHT and WRONG, functions by exercise.
"""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from headlab.exercises import EXERCISES, check
from headlab.exercises.engine import judge
from headlab.grading.fresh import fresh_exercise

TABLES = [
    importlib.import_module(f"answers.{path.stem}")
    for path in sorted((Path(__file__).parent / "answers").glob("lesson*.py"))
]
# Lessons whose exercises have eight named mistakes and twenty planted wrong answers each.
COMPLETE = ("1", "2", "3", "4", "5", "6", "7", "8")


def listed(kind):
    return [
        (number, answer) for table in TABLES for number, several in getattr(table, kind).items() for answer in several
    ]


def name(value):
    return getattr(value, "__name__", str(value))


def each(change):
    """A change of one tensor, made to all of several results."""

    def of_all(result):
        if isinstance(result, tuple | list):
            return type(result)(of_all(r) for r in result) if type(result) in (tuple, list) else change(tensor(result))
        return change(tensor(result))

    return of_all


def tensor(value):
    return value.clone() if isinstance(value, torch.Tensor) else torch.as_tensor(np.array(value))


def one_entry(place, change):
    def bend(x):
        x = x.clone()
        x.view(-1)[place] = change(x.view(-1)[place])
        return x

    return lambda x: bend(x.contiguous())


def other(x):
    return ~x if x.dtype == torch.bool else x + 1


# What a right answer may look like: the same numbers of another kind.
STYLES = {
    "numpy": each(lambda x: x.detach().numpy()),
    "float64": each(lambda x: x.double() if x.is_floating_point() else x),
    "lists": each(lambda x: x.tolist()),
    "not contiguous": each(lambda x: torch.stack([x, x], -1)[..., 0]),
    "with a gradient": each(lambda x: x.requires_grad_() if x.is_floating_point() else x),
}
# What a wrong one may look like. Where a change leaves every result of an exercise as it is, it is no wrong answer.
BENDS = {
    "zero": each(torch.zeros_like),
    "one": each(torch.ones_like),
    "the opposite": each(lambda x: ~x if x.dtype == torch.bool else -x),
    "doubled": each(lambda x: x + x),
    "a thousandth more": each(lambda x: x * 1.001),
    "a little more": each(lambda x: x + 0.001),
    "absolute": each(lambda x: x.abs() if x.dtype != torch.bool else x),
    "rounded": each(lambda x: x.round(decimals=2) if x.is_floating_point() else x),
    "transposed": each(lambda x: x.transpose(-1, -2) if x.ndim > 1 else x),
    "heads swapped": each(lambda x: x.flip(0) if x.ndim else x),
    "flipped": each(lambda x: x.flip(-1) if x.ndim else x),
    "rolled": each(lambda x: x.roll(1, -1) if x.ndim else x),
    "rolled down": each(lambda x: x.roll(1, 0) if x.ndim else x),
    "sorted": each(lambda x: x.sort(-1).values if x.ndim else x),
    "the mean everywhere": each(lambda x: x.float().mean().expand(x.shape)),
    "first entry": each(one_entry(0, other)),
    "last entry": each(one_entry(-1, other)),
    "NaN in it": each(lambda x: one_entry(-1, lambda _: torch.nan)(x.float())),
    "infinity in it": each(lambda x: one_entry(0, lambda _: torch.inf)(x.float())),
    "an axis more": each(lambda x: x[None]),
    "flat": each(lambda x: x.flatten()),
    "a row less": each(lambda x: x[:-1] if x.ndim else x),
    "a column less": each(lambda x: x[..., :-1] if x.ndim else x),
    "yes and no": each(lambda x: x.float() if x.dtype == torch.bool else x != 0),
    "words": lambda result: str(result),
    "twice": lambda result: (result, result),
    "nothing": lambda result: None,
}


def bent(number, bend, cases="all"):
    """The exercise's answer with every result bent, or the first's or the last's alone."""
    calls, exercise = [], EXERCISES[number]
    last = {"all": None, "first": 0, "last": len(exercise.cases) - 1}[cases]

    def answer(*arguments):
        calls.append(arguments)
        result = exercise.answer(*arguments)
        return bend(result) if last in (None, len(calls) - 1) else result

    return answer


def is_number(result):
    results = result if isinstance(result, tuple | list) else (result,)
    return all(isinstance(r, torch.Tensor | np.ndarray | np.generic | float | int | tuple | list) for r in results)


def bends_of(number):
    """The changes that change something: how a result of the exercise is, it must not be for another reason."""
    exercise = EXERCISES[number]
    results = [exercise.answer(*case) for case in exercise.cases]
    for kind, bend in BENDS.items():
        try:
            changed = [bend(result) for result in results]
        except (RuntimeError, TypeError, ValueError, IndexError):
            continue
        if not all(alike(a, b) for a, b in zip(changed, results, strict=True)):
            yield kind


def alike(a, b):
    """The same numbers in the same shape and kind: written without the engine, which is what is tested."""
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b, strict=True))
    if a is None or isinstance(a, str | tuple | list) or isinstance(b, str):
        return isinstance(b, str) and a == b
    x, y = (np.asarray(v.detach() if isinstance(v, torch.Tensor) else v) for v in (a, b))
    same = x.shape == y.shape and (x.dtype == bool) == (y.dtype == bool)
    return same and np.allclose(x.astype(float), y.astype(float), 3e-5, 3e-5, equal_nan=True)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("number", [n for n, e in EXERCISES.items() if is_number(e.answer(*e.cases[0]))])
def test_a_right_answer_passes_in_every_kind_of_number(number, style):
    verdict = check(number, bent(number, STYLES[style]))
    assert verdict.status == "passed", verdict.message


@pytest.mark.parametrize(("number", "answer"), listed("RIGHT"), ids=name)
def test_a_right_answer_in_another_style_passes(number, answer):
    assert repr(check(number, answer)) == f"✓ Exercise {number}: right"


@pytest.mark.parametrize(("number", "answer"), listed("RIGHT"), ids=name)
def test_a_right_answer_passes_on_cases_drawn_afresh(number, answer):
    if name(answer) != "defended_by_two_thirds_of_the_quartiles":  # a rule of thumb, which other samples defeat
        for seed in (3, 4):
            assert judge(fresh_exercise(number, seed), answer) == ("passed", "right")


@pytest.mark.parametrize(("number", "answer"), listed("WRONG"), ids=name)
def test_a_wrong_answer_does_not_pass(number, answer):
    verdict = check(number, answer)
    assert verdict.status == "not yet" and verdict.message and "\n" not in verdict.message


@pytest.mark.parametrize("number", [number for number in EXERCISES if not EXERCISES[number].wrong])
def test_no_bent_answer_passes(number):  # where many answers are right, a bent one may be
    for kind in bends_of(number):
        status, message = judge(replace(EXERCISES[number], mistakes=()), bent(number, BENDS[kind]))
        assert status == "not yet" and "\n" not in message, kind


@pytest.mark.parametrize("cases", ["first", "last"])
@pytest.mark.parametrize("number", EXERCISES)
def test_an_answer_that_is_wrong_in_one_case_does_not_pass(number, cases):
    assert check(number, bent(number, lambda result: "wrong", cases)).status == "not yet"


@pytest.mark.parametrize("number", [number for number in EXERCISES if number[0] in COMPLETE])
def test_eight_mistakes_are_named_and_twenty_wrong_answers_planted(number):
    mistakes = len(EXERCISES[number].mistakes)
    by_hand = sum(number == of for of, _ in listed("WRONG"))
    right = sum(number == of for of, _ in listed("RIGHT"))
    bends = len(list(bends_of(number)))
    assert mistakes >= 8 and mistakes + by_hand + bends >= 20 and right >= 4, (mistakes, by_hand, bends, right)
