"""How a check works: cases, the right answer, and the wrong ones that readers are likely to give."""

import copy
import ctypes
import dis
import inspect
import re
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType

import numpy as np
import torch

SECONDS = 1.5  # the longest that a reader's function may run on all cases together
AGAIN = 0.2  # seconds after which a function that caught the first stop is stopped again
NOTHING = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}  # all that a stub's code holds
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
CHANGED = "your function changed its input: work on a copy, which x.clone() makes in torch and x.copy() in numpy"
CHANGED_MODEL = (
    "your function changed the model: leave its weights, its mode (train or eval) and its methods as they were"
)
HOOK_LEFT = "your hook is still on the model: keep the handle that you get when you register it, and call its remove()"
LONG_NUMBER = re.compile(r"\d+\.\d{4,}(e[-+]?\d+)?")


@dataclass(frozen=True)
class Exercise:
    """An exercise: `answer` solves it, `cases` are the arguments it is tried on, `mistakes` are likely wrong answers.

    A mistake is a whole function whose docstring is what to tell the reader who makes it, so that a test can try each
    of them and see that it is named. Where many answers are right, `wrong(results, cases)` says in one line what is
    wrong with a reader's, or None where nothing is. `fresh(draw)` makes the cases of a grading, of other sizes: draw is
    a random.Random. Without it the sizes stay, and other seeds make other numbers.
    """

    answer: Callable
    cases: tuple
    mistakes: tuple[Callable, ...]
    tolerance: float = 1e-5
    wrong: Callable | None = None
    fresh: Callable | None = None


@dataclass(frozen=True)
class Verdict:
    """What a check found: status is "passed", "not yet" or "not attempted"; the message says why."""

    number: str
    status: str
    message: str

    def __repr__(self):
        mark = {"passed": "✓", "not yet": "✗", "not attempted": "…"}[self.status]
        return f"{mark} Exercise {self.number}: {self.message}"


def under_one_name(name, functions):
    """{function: value} of pairs of them; the functions are copies that all have this name and no docstring."""
    copies = {}
    for function, value in functions:
        code = function.__code__.replace(co_name=name, co_qualname=name)
        copy = FunctionType(code, function.__globals__, name, function.__defaults__, function.__closure__)
        copy.__doc__ = None
        copies[copy] = value
    return copies


class _TooLong(Exception):
    """A reader's function was stopped."""


def judge(exercise, function):
    """(status, message) for a reader's function; numbers in the message have four digits."""
    _quietly(exercise.answer, _copy(exercise.cases[0]))  # what it imports must not take of the reader's time
    deadline = time.monotonic() + SECONDS
    seen = observe(function, exercise.cases, SECONDS)
    return assess(exercise, seen, lambda: _changes(function, seen.results[0], exercise, deadline))


@dataclass(frozen=True)
class Observed:
    """What a function did on the cases: its results up to the first fault, and that fault in a line.

    fault is "" where there was none; error is the name and the text of the exception that was the fault, if it was one;
    stub says that the function's body does nothing.
    """

    results: list
    fault: str = ""
    error: tuple[str, str] | None = None
    stub: bool = False


def observe(function, cases, seconds):
    """Call a reader's function on the cases, each time on copies, for so many seconds in all."""
    deadline = time.monotonic() + seconds
    if not callable(function):
        return Observed([], f"give the function itself, without brackets after its name; got {type(function).__name__}")
    results = []
    for case in cases:
        arguments = _copy(case)
        hooks = _hooks(arguments)
        try:
            result = _call(function, arguments, deadline)
        except _TooLong:
            return Observed(results, f"your function ran for more than {seconds:g} s; does a loop never end?")
        except (Exception, SystemExit) as error:
            name, text, place = type(error).__name__, str(error), _own_line(error, function)
            why = " ".join(text.split())[:160]
            return Observed(results, f"your function stopped with {name}{place}: {why}", (name, text))
        if result is None:
            break
        if _hooks(arguments) - hooks:
            return Observed(results, HOOK_LEFT)
        if not _same(arguments, case, 0.0):
            a_model = any(isinstance(argument, torch.nn.Module) for argument in case)
            return Observed(results, CHANGED_MODEL if a_model else CHANGED)
        results.append(result)
    return Observed(results, stub=not results and _is_stub(function))


def assess(exercise, seen, changes):
    """(status, message) for what a function did; changes() says whether it gives another result each time."""
    status, message = _assess(exercise, seen, changes)
    return status, LONG_NUMBER.sub(lambda number: f"{float(number[0]):.4g}", message)


def _assess(exercise, seen, changes):
    results = seen.results
    if seen.fault:
        alike = (m for m in exercise.mistakes if seen.error and _stops_alike(seen.error, results, m, exercise))
        mistake = next(alike, None)
        return "not yet", mistake.__doc__ if mistake else seen.fault
    if seen.stub:
        return "not attempted", "not attempted yet"
    if not results:
        return "not yet", "your function returns nothing: end it with return and its result"
    if len(results) < len(exercise.cases):
        return "not yet", "your function returns nothing for some inputs; does every path end in return?"
    right = _matches(results, exercise.answer, exercise)
    for mistake in () if right else exercise.mistakes:
        if _matches(results, mistake, exercise):
            return "not yet", mistake.__doc__
    if changes():
        return "not yet", "your function gives another result each time: its result must depend on its arguments alone"
    if right:
        return "passed", "right"
    if exercise.wrong:
        said = exercise.wrong(results, exercise.cases)
        return ("not yet", said) if said else ("passed", "right")
    return "not yet", _difference(results, exercise)


def _call(function, arguments, deadline):
    """The function's result, or _TooLong after the deadline.

    The function has a thread of its own, so that what stops it can never hit anything else. After the deadline
    SystemExit is set there, again and again until it gets through: that works anywhere, but not before a call of
    compiled code, such as one long matrix product, is over, nor in a loop that swallows every exception.
    """
    ended, over = {}, threading.Event()

    def run():
        try:
            ended["result"] = _quietly(function, arguments)
        except BaseException as error:
            ended["error"] = error
        over.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    late = True  # also where the reader interrupts the wait
    try:
        late = not over.wait(max(0.0, deadline - time.monotonic()))
    finally:
        while late and not over.is_set() and _stop(thread):
            over.wait(AGAIN)
    if late:
        raise _TooLong
    if "error" in ended:
        raise ended["error"]
    return ended["result"]


def _stop(thread):
    """Set SystemExit in a thread; False where the thread has ended."""
    return ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)) > 0


def _quietly(function, arguments):
    """The function's result, without warnings: the verdict is one line and says what is wrong."""
    with warnings.catch_warnings(action="ignore"):
        return function(*arguments)


def _matches(results, function, exercise):
    try:
        expected = [_quietly(function, _copy(case)) for case in exercise.cases]
    except Exception:  # A planted mistake may well fail on some case; then it is not this one.
        return False
    return all(_same(r, e, exercise.tolerance) for r, e in zip(results, expected, strict=True))


def _changes(function, result, exercise, deadline):
    """True where a function gives another result when it is called on the first case once more."""
    try:
        again = _call(function, _copy(exercise.cases[0]), deadline)
    except (Exception, SystemExit):
        return False
    comparable = _same(result, result, exercise.tolerance)
    return comparable and not _same(again, result, exercise.tolerance)


def _stops_alike(error, results, function, exercise):
    """True where a planted mistake gives the same results and then stops on the same case with the same error.

    error: the name and the text of the exception.
    """
    try:
        for case, result in zip(exercise.cases, [*results, None], strict=False):
            expected = _quietly(function, _copy(case))
            if not _same(result, expected, exercise.tolerance):
                return False
    except Exception as other:
        return (type(other).__name__, str(other)) == error
    return False


def _is_stub(function):
    """True where a function's body does nothing, as `...` or `pass`."""
    code = getattr(function, "__code__", None)
    return code is not None and {step.opname for step in dis.get_instructions(code)} <= NOTHING


def _own_line(error, function):
    """Where the reader's own code was when the error came, as " in the line `...`"; "" where that is not known."""
    file = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", None)
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" in the line `{lines[-1][:100]}`" if lines and lines[-1] else ""


def _hooks(arguments):
    """The hooks on the models among the arguments; transformers leaves some of its own, which are nobody's fault."""
    models = [argument for argument in arguments if isinstance(argument, torch.nn.Module)]
    kinds = [getattr(module, kind) for model in models for module in model.modules() for kind in HOOKS]
    hooks = [hook for kind in kinds for hook in kind.values()]
    return {id(hook) for hook in hooks if not str(getattr(hook, "__module__", "")).startswith("transformers.")}


def _copy(value):
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, torch.nn.Module):
        return copy.deepcopy(value)
    return tuple(_copy(v) for v in value) if isinstance(value, tuple | list) else value


def _same(a, b, tolerance):
    """True where two results agree in structure, shape, kind and value; NaN and infinities count as values."""
    if isinstance(b, tuple | list):
        return _several(a, len(b)) and all(_same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if isinstance(b, torch.Tensor | np.ndarray | float | int | np.generic):
        try:
            x, y = _array(a), _array(b)
        except (TypeError, ValueError, RuntimeError):
            return False
        if x.shape != y.shape or (x.dtype == bool) != (y.dtype == bool):
            return False
        return bool(np.allclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True))
    if isinstance(b, torch.nn.Module):
        return all(_same_module(x, y) for x, y in zip(a.modules(), b.modules(), strict=True))
    if isinstance(b, str):
        return isinstance(a, str) and a == b
    return type(a) is type(b)  # no check asks for anything else, and what it is cannot always be compared


def _same_module(a, b):
    """True where two modules have the same weights, mode and methods of their own; their children are not looked at."""
    weights = zip(a.parameters(recurse=False), b.parameters(recurse=False), strict=True)
    replaced = [{name for name in vars(module) if callable(getattr(type(module), name, None))} for module in (a, b)]
    same_weights = all(torch.equal(x, y) and x.requires_grad == y.requires_grad for x, y in weights)
    return same_weights and a.training == b.training and replaced[0] == replaced[1]


def _several(value, number):
    """True for so many results: a tuple, a list, or one tensor that holds them along its first axis."""
    stacked = isinstance(value, torch.Tensor | np.ndarray) and value.ndim > 0
    return (isinstance(value, tuple | list) or stacked) and len(value) == number


def _array(value):
    value = [_array(v) for v in value] if isinstance(value, tuple | list) else value
    value = value.detach().cpu() if isinstance(value, torch.Tensor) else value
    value = value.float() if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16 else value
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError
    return array


def _difference(results, exercise):
    """The first thing in which the results differ from the answer: kind, shape or value."""
    for case, result in zip(exercise.cases, results, strict=True):
        expected, which = exercise.answer(*_copy(case)), ""
        if _same(result, expected, exercise.tolerance):
            continue
        if isinstance(expected, tuple | list):
            number = len(expected)
            if not _several(result, number):
                return f"expected {number} results, got {describe(result)}"
            pairs = enumerate(zip(result, expected, strict=True))
            place, (result, expected) = next((i, p) for i, p in pairs if not _same(*p, exercise.tolerance))
            which = f"result {place + 1} of {number}: "
        if describe(result) != describe(expected):
            return f"{which}expected {describe(expected)}, got {describe(result)}"
        if isinstance(expected, str):  # The right name would be the whole answer.
            return f"{which}{result!r:.60} is not right{_arguments(case) or ' in one of the cases'}"
        if isinstance(expected, bool) and not which:
            return _yes_or_no(results, exercise)
        x, y = _array(result), _array(expected)
        wrong = ~np.isclose(x, y, rtol=exercise.tolerance, atol=exercise.tolerance, equal_nan=True)
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = f" at index {place}" if place else ""
        told = which + ("the shape is right, a value is not: " if where else "")
        told += f"expected {_number(y[place])}{where}, got {_number(x[place])}"
        same = _number(y[place]) == _number(x[place])
        differ = f" (they differ by {abs(y[place] - x[place]):.1g})" if same else ""
        return told + differ + _arguments(case)
    raise AssertionError("judge calls this only where a result differs")


def _yes_or_no(results, exercise):
    """How often a function that says True or False is wrong, counted apart for the two right answers."""
    rights = [exercise.answer(*_copy(case)) for case in exercise.cases]
    missed = [right for result, right in zip(results, rights, strict=True) if not _same(result, right, 0.0)]
    kinds = [right for right in (True, False) if right in missed]
    told = (f"{missed.count(kind)} of the {rights.count(kind)} cases where {kind} is right" for kind in kinds)
    return f"your function is wrong in {' and in '.join(told)}"


def _arguments(case):
    """A case's arguments in brackets, if they are words or whole numbers."""
    shown = case and all(isinstance(argument, int | str) for argument in case)
    return f" (arguments: {', '.join(map(repr, case))})" if shown else ""


def _number(value):
    """One entry of an array, with four digits where it is not whole."""
    return f"{value:.4g}" if value.dtype.kind == "f" else str(value)


def describe(value):
    """The kind and the shape of a reader's result in a few words."""
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, torch.Tensor | np.ndarray):
        try:
            kind = "True and False" if _array(value).dtype == bool else "numbers"
        except (TypeError, ValueError, RuntimeError):
            kind = f"{value.dtype} (cannot be compared)"
        single = {"numbers": "a number", "True and False": "True or False"}.get(kind) if value.ndim == 0 else None
        return single or f"{kind} of shape {tuple(value.shape)}"
    if isinstance(value, bool | np.bool_):
        return "True or False"
    return "a number" if isinstance(value, int | float | np.number) else type(value).__name__
