"""headlab's public names: what says in its docstring in which lesson it is introduced."""

import importlib
import inspect
import pkgutil
import re

import headlab


def public(*left_out):
    """{name: function or class} of every module but those left out; a class is told from a function by the reader."""
    found = {}
    for module in pkgutil.walk_packages(headlab.__path__, "headlab."):
        if module.name.split(".")[1] in ("__main__", "grading", *left_out):  # no lesson introduces the teacher's tools
            continue
        owner = importlib.import_module(module.name)
        for name, thing in vars(owner).items():
            ours = getattr(thing, "__module__", "") == owner.__name__ and not name.startswith("_")
            if ours and re.search(r"Introduced in\s+lesson", thing.__doc__ or ""):
                found[name] = thing
    return found


def with_methods(things):
    """The names of functions, and of classes' public methods as Class.method."""
    for name, thing in things.items():
        if inspect.isfunction(thing):
            yield name
        else:
            methods = {m for m, value in vars(thing).items() if callable(value) or isinstance(value, staticmethod)}
            yield from (f"{name}.{method}" for method in methods if not method.startswith("_"))
