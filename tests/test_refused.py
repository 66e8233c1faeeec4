"""What each public function refuses, and in which words: the table shows a changed check or message in review.

The functions are called as in test_containers.py, each time with one argument spoiled. With HEADLAB_UPDATE=1 the table
is rewritten before it is compared.
"""

import contextlib
import inspect
import io
import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import settings_sample as sample
import torch
from lesson_runs import kept
from public import public
from test_containers import CALLS, row

REFUSED = Path(__file__).with_name("refused.csv")
IN_OTHER_TESTS = {
    *("load_model", "profile_texts", "cut_texts", "ScoreHistogram.save", "ScoreHistogram.load"),  # they read files
    *("check", "show_figure"),  # they take anything, or show it: test_exercises, test_plots
    "LogitTerms.total",  # it takes nothing
}
ANYTHING = {"None": None, "a word": "word", "a list": ["a", 1], "-1": -1, "0": 0, "1.5": 1.5}
NUMBERS = {"one more": lambda x: x + 1, "its negative": lambda x: -x, "many": lambda x: x + 9999, "in words": str}
LISTS = {"nothing": lambda x: x[:0], "one fewer": lambda x: x[:-1], "one more": lambda x: [*x, *x[:1]]}
ARRAYS = {
    "two numbers": lambda x: x.ravel()[:2],
    "an axis fewer": lambda x: x[0] if len(x) else x,
    "an axis more": lambda x: x[None],
    "one column": lambda x: x[..., :1],
    "no column": lambda x: x[..., :0],
    "a column fewer": lambda x: x[..., :-1],
    "one row": lambda x: x[:1],
    "no row": lambda x: x[:0],
    "transposed": lambda x: x.swapaxes(0, -1),
    "whole numbers": lambda x: x.astype(int) if isinstance(x, np.ndarray) else x.long(),
    "minus 3": lambda x: x * 1.0 - 3,
    "a twentieth more": lambda x: x * 1.05,
    "NaN": lambda x: x * np.nan,
}


def code_of(function):
    """The code of a function or method that runs when it is called, without what is wrapped around it."""
    return getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)


def functions():
    """{code: (name, function)} of headlab's public functions and methods, without the explorers, which pages call."""
    found = {}
    for name, thing in public("explorers").items():
        methods = {} if inspect.isfunction(thing) else vars(thing)
        named = {f"{name}.{m}": value for m, value in methods.items() if not m.startswith("_")} or {name: thing}
        found |= {code_of(value): (place, value) for place, value in named.items() if code_of(value)}
    return found


@contextlib.contextmanager
def watched():
    """{name: (function, arguments)} of the public functions that run in the block, as they are called first."""
    found, known = {}, functions()

    def note(frame, event, _):
        if event == "call" and frame.f_code in known:
            name, function = known[frame.f_code]
            names = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
            found.setdefault(name, (function, {n: frame.f_locals[n] for n in names}))

    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)


def spoiled(value):
    """(in which way, the value) of everything that is put in the place of an argument."""
    yield from ANYTHING.items()
    ways = {}
    if isinstance(value, np.ndarray | torch.Tensor):
        ways = ARRAYS if value.ndim else {}
    elif isinstance(value, list | tuple):
        ways = LISTS
    elif isinstance(value, int | float) and not isinstance(value, bool):
        ways = NUMBERS
    for way, change in ways.items():
        yield way, change(value)


def said_of(function, arguments):
    """The complaint's kind and line, or "taken"."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            function(**arguments)
    except (ValueError, TypeError) as error:
        return re.sub(r"0x\w+", "0x…", f"{type(error).__name__}: {error}")
    finally:
        plt.close("all")
    return "taken"


@pytest.fixture(scope="module")
def called(mini):
    """{name: (function, arguments)} of every public function, called as it should be."""
    with watched() as found:
        for function, arguments in map(row, CALLS):
            function(**arguments)
            plt.close("all")
        sample.numbers(mini[0], sample.ids_of(mini)[:, :9])
        sample.words(mini)
    return found


def test_every_public_function_is_called(called):
    names = {name for name, _ in functions().values()}
    assert names - called.keys() == IN_OTHER_TESTS


def test_the_table_says_what_each_function_refuses(called):
    heard = [
        [name, argument, way, said_of(function, arguments | {argument: wrong})]
        for name, (function, arguments) in called.items()
        for argument, value in arguments.items()
        if argument not in ("self", "label")  # matplotlib takes nearly anything as a label
        for way, wrong in spoiled(value)
    ]
    expected = kept(REFUSED, ("function", "argument", "spoiled", "words"), heard)
    assert heard == expected, "HEADLAB_UPDATE=1 takes the new words over"
