"""How the benchmarks measure: paired runs for time, a fresh process for memory."""

import os
import platform
import statistics
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from typing import NamedTuple

os.environ["HF_HUB_OFFLINE"] = "1"  # before Hugging Face's libraries read it
os.environ["TQDM_DISABLE"] = "1"

import psutil
import torch
from transformers import GPT2Config, GPT2LMHeadModel

MIB = 2**20


class Pair(NamedTuple):
    """Median seconds of both, and the median of the rounds' ratios."""

    ours: float
    theirs: float
    ratio: float


def seconds(work):
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def paired(ours, theirs, rounds=5):
    """Both in turn, round by round, so that whatever else the machine does falls on both; a first round is dropped."""
    seconds(ours), seconds(theirs)
    times = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    return Pair(*map(statistics.median, zip(*times, strict=True)), statistics.median(a / b for a, b in times))


def extra_memory(work):
    """Bytes by which this process grows at most during one call."""
    process, done, peak = psutil.Process(), threading.Event(), [0]
    before = process.memory_info().rss

    def watch():
        while not done.wait(0.001):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return max(0, peak[0] - before)


def in_fresh_process(function, *arguments):
    """What a function of a module returns in a process that has done nothing else."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def untrained(n_layers=12, attention="sdpa"):
    """A model of GPT-2 small's shape but for its layers, the same on every call."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_layer=n_layers, attn_implementation=attention)).eval()


def token_ids(n_tokens, seed=0):
    """Ids (1, T) drawn at random."""
    return torch.randint(50257, (1, n_tokens), generator=torch.Generator().manual_seed(seed))


def machine(*packages):
    """One line on where the figures come from."""
    memory = psutil.virtual_memory().total / 2**30
    return ", ".join(
        [
            f"{platform.system()} {platform.machine()} ({_processor()})",
            f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, {memory:.0f} GiB",
            f"Python {platform.python_version()}",
            *(f"{name} {version(name)}" for name in packages),
        ]
    )


def _processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
