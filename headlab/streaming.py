"""Many texts through a model into one histogram: resumed after an interruption, in one process or on many."""

import hashlib
import io
import logging
import operator
import os
import re
import sys
import time
from contextlib import closing, contextmanager, suppress
from functools import lru_cache, reduce
from glob import glob
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from headlab._expect import expect, expect_list, expect_whole, shown
from headlab.capture import count_scores
from headlab.histogram import ScoreHistogram
from headlab.hub_errors import this_python
from headlab.models import load_model, model_name, resolve

SAVE_EVERY = 60.0  # seconds of work that a power cut may cost; an interruption costs none
ANSWER_WITHIN = 15  # seconds, for a scheduler and its first worker
PIECES_PER_TASK = 8  # so that sending the counts back takes little beside making them


STANDARD_INPUT = Path("-")
OTHER_KINDS = (  # how they begin
    (b"\x1f\x8b", "a gzip file", "unpack it first, or give <(gzip -dc FILE)"),
    (b"PK\x03\x04", "a zip file", "unpack it first"),
    (b"%PDF", "a PDF", "save its text as a .txt file"),
    (b"\xff\xfe", "UTF-16, as Windows writes it", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16", "save it as UTF-8"),
)


class Text(NamedTuple):
    """A text to count: where it is, its length in characters, and the text itself where it cannot be read again."""

    path: Path
    n_characters: int
    kept: str | None


class Piece(NamedTuple):
    """As much of a text as the model sees at once: a key of its own, the token ids, its part of the characters."""

    key: int
    ids: list[int]
    n_characters: float


def profile_texts(name, texts, out, workers=None, scheduler=None):
    """Count the raw scores of every layer and head over many texts of any length, and keep the counts in a file.

    name: as `load_model` takes it; texts: paths of UTF-8 files, patterns such as "novels/*.txt", pipes, or "-" for the
    standard input, cut into pieces of as many tokens as the model sees at once; out: the file. If it exists already,
    the pieces in it are not counted again: an interrupted run continues where it stopped, and new texts are added to
    the earlier ones. workers: the number of processes on this machine; scheduler: the address of a running Dask
    scheduler, whose workers have headlab and the model (both need headlab[cluster]). Returns the ScoreHistogram in the
    file. Raises ValueError or OSError in one line, before anything is counted, where a text is missing, not UTF-8 or
    empty, and where the file holds something else.
    Introduced in lesson 6.

    >>> from pathlib import Path
    >>> size = Path("novel.txt").write_text("The old man sat. " * 40)
    >>> histogram = profile_texts("mini", ["novel.txt"], "counts.npz")
    >>> histogram.layers
    (0, 1, 2, 3)
    """
    texts = _read(_checked_paths(texts))
    expect(workers is None or scheduler is None, "workers", "either workers or a scheduler", "both")
    if workers is not None:
        workers = expect_whole(workers, "workers", "a whole number of processes >= 1")
        expect(workers >= 1, "workers", "a whole number of processes >= 1", workers)
    out = _checked_out(out)
    with _only_run(out):
        name = resolve(name)  # here, or every worker would say what "auto" stands for
        model, tokenizer = load_model(name)
        total = before = _start(out, model)
        n_characters = sum(text.n_characters for text in texts)
        with tqdm(total=n_characters, unit="char", unit_scale=True, disable=None) as bar:
            pieces = _uncounted(_pieces(tokenizer, model.config.n_positions, texts), total.counted, bar)
            alone = workers is None and scheduler is None
            counting = _here(model, pieces) if alone else _on_dask(name, pieces, workers, scheduler)
            saved = time.monotonic()
            with closing(counting) as parts:
                try:
                    for part, n_characters in parts:
                        # A new total, not a changed one: whenever an interruption comes, a part is in it whole or not.
                        total = total + part
                        bar.update(n_characters)
                        if time.monotonic() - saved >= SAVE_EVERY:
                            total.save(out)
                            saved = time.monotonic()
                finally:
                    if total is not before:
                        total.save(out)
    return total


def _checked_paths(texts):
    """The texts' paths, patterns written out, each once; or one line where they are none."""
    expected = "a list of paths of files"
    if isinstance(texts, (str, bytes, os.PathLike)):  # a path alone would be gone through letter by letter
        raise TypeError(f"texts: expected {expected}, got {shown(repr(texts))}")
    paths = []
    for path in expect_list(texts, "texts", expected):
        if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
            raise TypeError(f"texts: expected {expected}, got {shown(repr(path))} among them")
        address = re.match(r"\w+://", os.fspath(path))
        expect(not address, "texts", f"{expected} (give an address as <(curl -L ADDRESS))", path)
        paths += _matching(os.path.expanduser(path))  # as a shell does, unless it is PowerShell or there are quotes
    return [Path(path) for path in dict.fromkeys(paths)]


def _matching(path):
    """The files that a pattern stands for, in order: not every shell writes it out. Any other path alone."""
    if not any(mark in path for mark in "*?[") or os.path.lexists(path):
        return [path]
    files = sorted(found for found in glob(path, recursive=True) if os.path.isfile(found))
    expect(files, "texts", "a pattern that matches a file", repr(path))
    return files


def _read(paths):
    """What there is to count. A stream can be read once only, so its text is kept; a file is read again in its turn."""
    texts = []
    for path in paths:
        text = _checked_text(path)
        again = path != STANDARD_INPUT and path.is_file()
        texts.append(Text(path, len(text), None if again else text))
    return texts


def _checked_out(out):
    if not isinstance(out, (str, os.PathLike)):
        raise TypeError(f"out: expected the path of a file, got {shown(repr(out))}")
    out = Path(os.path.expanduser(out))
    expect(out.name and not out.is_dir(), "out", "the path of a file", f"a folder, {out}")
    expect(out.parent.is_dir(), "out", "a file in an existing folder", out)
    return out


def _checked_text(path):
    """The text of a file or a stream, or one line on what is wrong with it."""
    try:
        content = sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
    except IsADirectoryError:
        raise OSError(f"{path}: expected a text file, got a folder; name its files: {path / '*.txt'}") from None
    except OSError as error:
        raise OSError(f"{path}: expected a text file that can be read, got: {error.strerror}") from None
    for mark, kind, remedy in OTHER_KINDS:
        if content.startswith(mark):
            raise ValueError(f"{path}: expected text in UTF-8, got {kind}; {remedy}")
    try:
        # A byte order mark is no part of the text, and lines end in one way.
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected text in UTF-8, got byte {error.object[error.start]:#x}") from None
    expect(text.strip(), path, "at least one word", "an empty text")
    return text


@contextmanager
def _only_run(out):
    """Two runs that wrote one file would lose each other's counts."""
    lock = FileLock(out.with_name(f".{out.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f"out: expected no other run that writes to {out}, got one; wait until it ends") from None
    except OSError as error:
        raise OSError(f"out: expected a folder that can be written, got {out}: {error.strerror}") from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows lets nobody take an open file away, and does so itself at the end
            os.unlink(lock.lock_file)  # before the release: whoever comes now finds that the lock is no file any more
        lock.release()


def _start(out, model):
    """The counts that are in the file, or none."""
    weights = _digest(model)
    if not out.exists():
        return ScoreHistogram(range(model.config.n_layer), model.config.n_head, model_name(model), weights=weights)
    total = ScoreHistogram.load(out)
    found = f"those of {total.model or 'an unnamed model'}"
    if total.model == model_name(model):
        found += " with other weights"
    expect(total.weights == weights, out, f"counts of {model_name(model)}, or a new file", found)
    return total


def _digest(model):
    """Tells models apart by their weights, wherever they came from and whatever they are called."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.transformer.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.cpu().contiguous().numpy())
    return digest.hexdigest()[:16]


def _pieces(tokenizer, length, texts):
    for path, _, kept in texts:
        text = _checked_text(path) if kept is None else kept
        digest = hashlib.sha256(text.encode()).hexdigest()
        ids = tokenizer(text, verbose=False)["input_ids"]
        for start in range(0, len(ids), length):
            part = ids[start : start + length]
            key = hashlib.sha256(f"{digest} {start}".encode()).digest()[:8]
            yield Piece(int.from_bytes(key), part, len(text) * len(part) / len(ids))


def _uncounted(pieces, counted, bar):
    """The pieces that are still to count, each once, even where a text is given twice."""
    seen = set(counted)
    for piece in pieces:
        if piece.key in seen:
            bar.update(piece.n_characters)
        else:
            seen.add(piece.key)
            yield piece


def _here(model, pieces):
    """(histogram, characters) of one piece after the other, in this process."""
    weights = _digest(model)
    for piece in pieces:
        yield _count(model, weights, piece), piece.n_characters


def _count(model, weights, piece):
    histogram = count_scores(model, torch.tensor(piece.ids, device="cpu"))
    histogram.model, histogram.weights, histogram.counted = model_name(model), weights, frozenset([piece.key])
    return histogram


def _on_dask(name, pieces, workers, scheduler):
    """(histogram, characters) of some pieces at a time, as Dask's workers finish them. Dask gives what a worker that
    died had in hand to another; each task's result is taken once."""
    try:
        import distributed
    except ImportError:
        remedy = f"run in headlab's folder: {this_python()} -m pip install -c constraints.txt -e '.[cluster]'"
        raise ValueError(f"workers: expected Dask to be installed, got none; {remedy}") from None
    with _client(distributed, workers, scheduler) as client:
        tasks = iter(lambda: list(islice(pieces, PIECES_PER_TASK)), [])
        ahead = 2 * len(client.scheduler_info(n_workers=-1)["workers"])
        submitted = (client.submit(_count_task, name, task, pure=False) for task in tasks)
        running = distributed.as_completed(islice(submitted, ahead))
        for future in running:
            try:
                yield future.result()
            except distributed.KilledWorker:
                line = "workers: expected them to stay up, got several that died over the same pieces (no memory left?)"
                raise OSError(line) from None
            running.update(islice(submitted, 1))


@contextmanager
def _client(distributed, workers, scheduler):
    """A client of the scheduler that is there, or of a cluster of processes on this machine that ends with it."""
    if scheduler is not None:
        with _connected(distributed, scheduler) as client:
            yield client
    else:
        settings = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.ERROR}
        with distributed.LocalCluster(n_workers=workers, **settings) as cluster, distributed.Client(cluster) as client:
            yield client


def _connected(distributed, scheduler):
    """A client of a scheduler that answers and has workers, or one line."""
    try:
        client = distributed.Client(scheduler, timeout=ANSWER_WITHIN)
        try:
            client.wait_for_workers(1, timeout=ANSWER_WITHIN)
        except BaseException:
            client.close()
            raise
        return client
    except (OSError, TimeoutError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise OSError(f"scheduler: expected Dask's, with workers, at {scheduler}, got: {reason}") from error


_loading = Lock()  # A worker may have several threads, which would load the model as often.


def _count_task(name, pieces):
    """What a worker does: the sum over some pieces."""
    with _loading:
        model, weights = _model_of_worker(name)
    counts = (_count(model, weights, piece) for piece in pieces)
    return reduce(operator.add, counts), sum(piece.n_characters for piece in pieces)


@lru_cache(maxsize=1)
def _model_of_worker(name):
    model, _ = load_model(name)
    return model, _digest(model)
