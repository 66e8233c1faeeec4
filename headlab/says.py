"""Sentences about a model, which code chooses from measured values, so that they are true whichever model is loaded."""

import textwrap

import numpy as np
import torch

from headlab._expect import expect, shown
from headlab.models import model_name

RECORDED = "real GPT-2, recorded"


def says(*branches):
    """Print the first sentence whose condition holds.

    branches: pairs (condition, sentence), in the order in which they are tried; write out every outcome that a model
    may have, and end with True where all other outcomes are one:

        says(
            (growth > 2 * control, f"The scores grow {growth:.0f} times, far more than the control's."),
            (growth > 1, f"The scores grow {growth:.1f} times, as the control's do."),
            (True, "The scores do not grow with the channels here."),
        )

    A condition is one True or False, of Python, numpy or torch. Raises TypeError on any other (a number that is NaN,
    None, an array), ValueError where no condition holds. A comparison with NaN is False: where a value may be NaN,
    give it a branch of its own.
    Introduced in lesson 1.

    >>> says((2 > 3, "More."), (True, "Not more."))
    Not more.
    """
    print(as_lines(branches[first_true(branches)][-1]))


def as_lines(sentence, **options):
    """A sentence as lines that fit a narrow page, because pages break printed text in the middle of words."""
    return textwrap.fill(sentence, 95, break_long_words=False, break_on_hyphens=False, **options)


def first_true(branches):
    """The place of the first branch (condition, ..., sentence) whose condition holds; all of them are checked."""
    for place, branch in enumerate(branches):
        argument = f"branch {place}"
        fits = isinstance(branch, tuple | list) and len(branch) >= 2 and isinstance(branch[-1], str)
        if not fits:
            raise TypeError(f"{argument}: expected (condition, sentence), got {shown(repr(branch))}")
        expect(branch[-1].strip(), argument, "a sentence", "an empty one")
    conditions = [_truth(branch[0], f"condition {place}") for place, branch in enumerate(branches)]
    received = f"{len(branches)} that do not (end with True to cover the rest)"
    expect(any(conditions), "branches", "a condition that holds", received)
    return conditions.index(True)


def _truth(condition, argument):
    """The condition as a bool; TypeError where it is not one True or False."""
    known = isinstance(condition, torch.Tensor) and not condition.is_meta
    if known and condition.dtype == torch.bool and condition.ndim == 0:
        return condition.item()
    if isinstance(condition, np.ndarray) and condition.dtype == bool and condition.ndim == 0:
        return condition.item()
    if not isinstance(condition, bool | np.bool_):
        raise TypeError(f"{argument}: expected True or False, got {shown(repr(condition))}")
    return bool(condition)


def who(model):
    """Whose values are shown, in the words that all lessons use: "loaded model (mini)" or "random control".

    model: as load_model gives it. What was recorded from real GPT-2 is called RECORDED, "real GPT-2, recorded".
    Introduced in lesson 1.

    >>> model, tokenizer = load_model("mini")
    >>> who(model)
    'loaded model (mini)'
    """
    name = model_name(model)
    return "random control" if name == "random" else f"loaded model ({name})"
