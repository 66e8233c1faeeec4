"""Cases that no student has seen: all with another seed, and with other sizes where an exercise can make them."""

import importlib.util
import random
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import numpy as np
import torch

from headlab.exercises import LESSONS


@cache
def fresh_exercise(number, seed):
    """An exercise with other cases, which depend on seed; number: such as "1.2"."""
    module = next(lesson for lesson in LESSONS if number in lesson.EXERCISES)
    with _seeds_moved(1 + seed):
        exercise = _executed_anew(module).EXERCISES[number]
        cases = exercise.fresh(random.Random(f"{number} {seed}")) if exercise.fresh else exercise.cases
    return replace(exercise, cases=tuple(cases))


def _executed_anew(module):
    """A second copy of a module, beside the first, with cases and answers of its own."""
    spec = importlib.util.find_spec(module.__name__)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


@contextmanager
def _seeds_moved(by):
    """Within this block, whoever seeds a generator of torch or numpy gets another seed."""
    generator, seed_all, default_rng = torch.Generator, torch.manual_seed, np.random.default_rng

    class Moved(torch.Generator):
        def manual_seed(self, seed):
            return super().manual_seed(seed + by)

    torch.Generator = Moved
    torch.manual_seed = lambda seed: seed_all(seed + by)
    np.random.default_rng = lambda seed=None: default_rng([*np.atleast_1d(seed), by])
    try:
        yield
    finally:
        torch.Generator, torch.manual_seed, np.random.default_rng = generator, seed_all, default_rng
