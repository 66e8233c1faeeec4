"""What the exercises ask: the table holds a line about each case, so that a changed case shows in review.

Every reader has the same cases, on every machine, and so has every student of a grading with the same seed. With
HEADLAB_UPDATE=1 the table is rewritten before it is compared.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from lesson_runs import kept, same_text

from headlab.exercises import EXERCISES
from headlab.exercises.lesson6 import made_up_heads
from headlab.exercises.lesson7 import ridgeline_puzzle
from headlab.grading.fresh import fresh_exercise

ASKED = Path(__file__).with_name("asked.csv")
IDS = torch.tensor([5, 2, 9, 4, 7, 3, 5, 2, 9, 6, 5, 2])
GIVEN = {  # to the functions that are themselves the cases of an exercise
    "1.5": (torch.linspace(-9, 9, 25).sin().reshape(5, 5),),
    "2.4": (torch.linspace(-9, 9, 120).sin().reshape(5, 24), 2),
    "3.4": (IDS,),
}
SHOWN = {"6.7": lambda: made_up_heads().values(), "7.2": ridgeline_puzzle}  # in the figure that an exercise asks about
SEEDS = ("", "0", "1")  # of a grading; "" stands for the cases of the check itself


def in_short(argument, given):
    """An argument in a line: of an array its type, its shape and a sum in which every place has its own weight.

    given: what a function is called with; its result stands for it.
    """
    if isinstance(argument, torch.nn.Module):
        weights = torch.cat([parameter.detach().flatten() for parameter in argument.parameters()])
        return f"{type(argument).__name__} {in_short(weights, given)}"
    if isinstance(argument, list | tuple):
        return f"[{', '.join(in_short(each, given) for each in argument)}]"
    if callable(argument):
        return f"function: {in_short(argument(*given), given)}"
    if not isinstance(argument, np.ndarray | torch.Tensor):
        return repr(argument)
    values = np.asarray(argument, dtype=float).ravel()
    return f"{argument.dtype} {tuple(argument.shape)} {values @ np.cos(np.arange(values.size)):.6g}"


def asked(number):
    """Lines for one exercise: (number, seed, the arguments of a case in short)."""
    for seed in SEEDS:
        cases = fresh_exercise(number, int(seed)).cases if seed else EXERCISES[number].cases
        yield from ([number, seed, in_short(case, GIVEN.get(number))] for case in cases)
    if number in SHOWN:
        yield [number, "figure", in_short(list(SHOWN[number]()), None)]


@pytest.fixture(scope="module")
def table():
    """The table's lines."""
    return kept(ASKED, ("exercise", "seed", "arguments"), (row for number in EXERCISES for row in asked(number)))


def test_the_table_holds_every_exercise(table):
    assert list(dict.fromkeys(row[0] for row in table)) == list(EXERCISES)


@pytest.mark.parametrize("number", EXERCISES)
def test_an_exercise_asks_what_the_table_says(number, table):
    rows, expected = list(asked(number)), [row for row in table if row[0] == number]
    take_over = "HEADLAB_UPDATE=1 takes the new cases over"
    assert [row[:-1] for row in rows] == [row[:-1] for row in expected], take_over
    for row, other in zip(rows, expected, strict=True):
        assert same_text(row[-1], other[-1], 1e-4, 1e-5), f"{row}, not {other}; {take_over}"
