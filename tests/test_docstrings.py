"""Every public function ends its docstring in an example, which runs and gives what it says."""

import doctest
import inspect
import sys
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from public import public

from headlab import models

COMMON = {"np": np, "plt": plt, "torch": torch}  # what every reader has imported
PUBLIC = {name: thing for name, thing in public().items() if inspect.isfunction(thing)}


@pytest.fixture(scope="module")
def load_model():
    """The models' loader, which loads each only once here."""
    return lru_cache(models.load_model)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_example_runs_and_gives_what_it_says(name, load_model, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function = PUBLIC[name]
    names = vars(sys.modules[function.__module__]) | COMMON | {"load_model": load_model}
    examples = doctest.DocTestParser().get_doctest(inspect.getdoc(function), names, name, None, 0)
    assert examples.examples, f"{name}: expected an example at the end of its docstring"
    last = inspect.getdoc(function).rpartition("\n\n")[2]
    assert last.startswith(">>> "), f"{name}: expected the example last, got {last[:60]!r}"
    results = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(examples)
    assert results.failed == 0, capsys.readouterr().out
