"""Where students' code runs: a process of its own for each function, which answers in plain data.

The process is forked from one that has torch and headlab loaded, so that it starts in a moment. It has no network, may
start no program, has limits on its time and its memory, and what it prints is discarded. Nothing that it sends is
unpickled or run: arrays come as bytes, and the grader compares them. This stops slips and ordinary mischief;
SECURITY.md says what it does not stop.
"""

import ast
import base64
import hashlib
import json
import linecache
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import types
from dataclasses import dataclass

import numpy as np
import torch

from headlab.exercises import EXERCISES
from headlab.exercises.engine import Observed, _quietly, observe
from headlab.grading.fresh import fresh_exercise
from headlab.grading.slices import program_of

MOST_BYTES = 50 * 2**20  # of an answer
MOST_TEXT = 2000  # characters of a string among the results
FORBIDDEN = {
    "socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.sendmsg",
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty",
}  # fmt: skip
REFUSED = "grading has no network and starts no programs"
ENDED = "your code ended Python, as os._exit does, or returned more than can be graded"
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)  # what a forged answer may raise
SCALARS = bool | int | float | str | None


@dataclass(frozen=True)
class Limits:
    """What a student's code may take: seconds for the function, seconds for all, bytes of memory."""

    call: float = 10.0
    whole: float = 60.0
    memory: int = 3 * 2**30


LIMITS = Limits()


def run_function(cells, name, number, seed, limits=LIMITS):
    """What a notebook's function does on the visible and the fresh cases of an exercise.

    Returns a dict. Where there is no result, its only key is "missing" or "ended", with a sentence. Else "visible" and
    "fresh" are Observed; "again" is the first fresh case's result from a second call; "calls" are the functions of
    headlab that were called; "code" is a digest of the function without its comments and layout.
    """
    told = _in_a_process(_observe_function, (cells, name, number, seed, limits), limits)
    try:
        for kind in {"visible", "fresh"} & told.keys():
            fields = told[kind]
            error = tuple(map(str, fields["error"])) if fields["error"] else None
            told[kind] = Observed(list(decode(fields["results"])), str(fields["fault"]), error, bool(fields["stub"]))
        return told | {"again": decode(told["again"])} if "again" in told else told
    except MALFORMED:
        return {"ended": ENDED}


def run_values(cells, names, model, limits=LIMITS):
    """{name: value} of those names that the notebook binds, on this model; "missing" or "ended" as in run_function."""
    told = _in_a_process(_observe_values, (cells, names, model, limits), limits)
    try:
        return {name: decode(value) if name in names else str(value) for name, value in told.items()}
    except MALFORMED:
        return {"ended": ENDED}


def _in_a_process(target, arguments, limits):
    kinds = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in kinds else "spawn")
    if "forkserver" in kinds:
        context.set_forkserver_preload([__name__])
    receive, send = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="headlab-grading-", ignore_cleanup_errors=True) as folder, receive:
        process = context.Process(target=_child, args=(send, folder, target, arguments, limits), daemon=True)
        with _no_main:
            process.start()
        send.close()
        try:
            if not receive.poll(limits.whole):
                return {"ended": f"your notebook ran for more than {limits.whole:g} s; does a loop never end?"}
            return dict(json.loads(receive.recv_bytes(MOST_BYTES)))
        except (EOFError, OSError, *MALFORMED):
            return {"ended": ENDED}
        finally:
            _kill(process)


class _NoMain:
    """Within this block, multiprocessing finds no main script that each new process would have to import."""

    def __init__(self):
        self.lock, self.main = threading.Lock(), None

    def __enter__(self):
        self.lock.acquire()
        self.main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")

    def __exit__(self, *error):
        sys.modules["__main__"] = self.main
        self.lock.release()


_no_main = _NoMain()


def _kill(process):
    """End a process and those that it started."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # it has ended, or has no group of its own yet
            pass
    process.kill()
    process.join()


def _child(connection, folder, target, arguments, limits):
    _confine(folder, limits)
    connection.send_bytes(json.dumps(target(*arguments)).encode())
    os._exit(0)  # whatever threads the student's code has left behind


def _confine(folder, limits):
    """Confine this process: no network, no programs, no more than the limits, nothing printed, an empty folder."""
    os.chdir(folder)
    os.environ["MPLBACKEND"] = "agg"
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    sys.stdin, sys.stdout, sys.stderr = open(os.devnull), open(os.devnull, "w"), open(os.devnull, "w")
    torch.set_num_threads(1)
    if hasattr(os, "setsid"):
        import resource  # not on Windows

        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100 * 2**20, 100 * 2**20))
        resource.setrlimit(resource.RLIMIT_DATA, (limits.memory, limits.memory))
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True  # loading a model that is not here fails at once
    sys.addaudithook(_refuse)


def _refuse(event, arguments):
    if event in FORBIDDEN:
        raise OSError(REFUSED)


def _observe_function(cells, name, number, seed, limits):
    program = program_of(cells)
    space, failed = _executed(program, name)
    if name not in space:
        return {"missing": _why_missing(program, name, failed)}
    function = space[name]
    visible, fresh = EXERCISES[number], fresh_exercise(number, seed)
    given = {getattr(value, "__code__", None) for e in (visible, fresh) for case in e.cases for value in case}
    calls = _Calls(given)
    threading.setprofile(calls)  # for the thread in which observe calls the function
    seen = {"visible": observe(function, visible.cases, limits.call)}
    if not seen["visible"].fault:
        seen["fresh"] = observe(function, fresh.cases, limits.call)
    again = [] if seen["visible"].fault else observe(function, fresh.cases[:1], limits.call).results
    threading.setprofile(None)
    told = {kind: {**vars(found), "results": encode(found.results)} for kind, found in seen.items()}
    for found in told.values():
        error, text = found["error"] or ("", "")
        if error == "NameError" and failed:
            found["fault"] = f"your function needs a line that failed: {failed[-1]}"
        if error == "MemoryError" or "allocate memory" in text:
            found["fault"] = f"your function needs more than {limits.memory / 2**30:g} GB of memory"
    code = [ast.dump(statement.node) for statement in program.statements if name in statement.binds]
    digest = hashlib.sha256("".join(code).encode()).hexdigest()
    return {**told, "again": encode(again), "calls": sorted(calls.names), "code": digest}


def _observe_values(cells, names, model, limits):
    os.environ["HEADLAB_MODEL"] = model
    program, told = program_of(cells), {}
    for name in names:
        space, failed = _executed(program, name)
        if name in space:
            told[name] = encode(space[name])
        else:
            told["missing"] = _why_missing(program, name, failed)
    return told


def _executed(program, name):
    """The names that exist after the statements that `name` needs, and a line for each statement that failed."""
    for file, source in program.sources.items():
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    space = {"__name__": "__main__", "display": lambda *shown, **how: None, "get_ipython": lambda: None}
    failed = []
    for statement in program.needed(name):
        line = linecache.getline(statement.file, statement.node.lineno).strip()[:100]
        try:
            exec(compile(ast.Module([statement.node], []), statement.file, "exec"), space)
        except (Exception, SystemExit) as error:
            failed.append(f"`{line}`: {type(error).__name__}: {' '.join(str(error).split())[:160]}")
    return space, failed


def _why_missing(program, name, failed):
    unread = [why for cell, why in program.broken if name in cell]
    if unread:
        return unread[-1]
    if failed:
        return f"{name} needs a line that failed: {failed[-1]}"
    return f"there is no {name} in your notebook: keep the name that the exercise gives it"


class _Calls:
    """A profiler that notes which functions of headlab are called from outside headlab."""

    def __init__(self, given):
        self.given, self.names = given, set()

    def __call__(self, frame, event, argument):
        if event != "call" or frame.f_code in self.given or frame.f_code is _quietly.__code__ or not _of_headlab(frame):
            return
        caller = frame.f_back
        if caller and (caller.f_code is _quietly.__code__ or not _of_headlab(caller)):
            self.names.add(f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}")


def _of_headlab(frame):
    return str(frame.f_globals.get("__name__", "")).startswith("headlab.")


def encode(value, depth=0):
    """A result as plain JSON; of a value that no exercise asks for, only the name of its type."""
    if isinstance(value, torch.Tensor):
        try:
            value = value.detach().cpu()
            value = value.float() if value.dtype == torch.bfloat16 else value
            return {"tensor": _array(value.numpy())}
        except (TypeError, RuntimeError, ValueError):
            return {"other": type(value).__name__}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        return {"array" if isinstance(value, np.ndarray) else "number": _array(np.asarray(value))}
    if type(value) in (tuple, list) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        if depth < 5 and len(value) <= 10_000:
            return {
                type(value).__name__ if type(value) in (tuple, list) else "tuple": [encode(v, depth + 1) for v in value]
            }
    elif type(value) is str:
        return {"plain": value[:MOST_TEXT]}
    elif type(value) in (bool, float, type(None)) or (type(value) is int and value.bit_length() < 1000):
        return {"plain": value}
    return {"other": type(value).__name__[:60]}


def _array(array):
    content = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": array.shape, "content": content}


def decode(told):
    """The result that encode wrote; ValueError where there is none."""
    if not isinstance(told, dict) or len(told) != 1:
        raise ValueError(f"result: expected one kind and a value, got {str(told)[:80]}")
    kind, value = next(iter(told.items()))
    if kind == "plain" and isinstance(value, SCALARS):
        return value
    if kind in ("tuple", "list"):
        return (tuple if kind == "tuple" else list)(decode(v) for v in value)
    if kind in ("tensor", "array", "number"):
        dtype = np.dtype(value["dtype"])
        if dtype.kind not in "biufc":
            raise ValueError(f"result: expected numbers, got {dtype}")
        array = np.frombuffer(base64.b64decode(value["content"]), dtype).reshape(value["shape"]).copy()
        return torch.from_numpy(array) if kind == "tensor" else array if kind == "array" else array[()]
    if kind == "other":
        return type(str(value)[:60] or "value", (), {})()
    raise ValueError(f"result: expected a kind that is known, got {str(kind)[:80]}")
