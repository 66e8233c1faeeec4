"""Lesson 6: counts of raw scores that add up over any number of texts, processes and machines."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from headlab._expect import expect, expect_finite, expect_float_tensor, expect_whole, finite_array, shown
from headlab.density import binned_kde

# Each bin of a ScoreHistogram is one number of half precision (float16), from -inf to inf, times 16: so fine that no
# bandwidth notices, so far that no range has to be chosen, and found by a conversion that processors have built in.
SCALE = 16.0
_ASCENDING = np.concatenate([np.arange(0xFC00, 0x7FFF, -1), np.arange(0x7C01)])  # its bits, from -inf to inf
_VALUES = _ASCENDING.astype(np.uint16).view(np.float16).astype(np.float64) * SCALE
MOST_HEADS = 10_000  # 5 GB of counts
_REACH = 65520 * SCALE  # from here on, half precision rounds to infinity
_EDGES = np.concatenate([[-_REACH], (_VALUES[1:-2] + _VALUES[2:-1]) / 2, [_REACH]])  # of the bins between the ends


class ScoreHistogram:
    """How often each raw score occurred, layer by layer and head by head, as counts that can be added up.

    layers: the model's numbers of the layers counted; n_heads: heads per layer. `counts` (layer, head, bin) are whole
    numbers over bins that are the same in every histogram, so that `a + b` is exact, in any order, for texts counted in
    other processes or on other machines. A bin is at most 0.1% of its score wide (0.016 at a score of 20) and they
    reach to +-1,048,320; scores beyond that are counted in the last bins. Takes half a megabyte per head, for any
    number of scores. `model` says whose scores these are, `weights` is a digest of its weights, and `counted` holds the
    keys of the pieces of text that were counted (whole numbers; all three empty where the counting code gives none): `a
    + b` refuses two models, which the digests tell apart, or the names where there are none, and a piece that is in
    both.
    Introduced in lesson 6.

    >>> histogram = ScoreHistogram([0], n_heads=1)
    >>> histogram.update(0, torch.tensor([[-2.0, 1.0, 3.0, 5.0]]))
    >>> histogram.n, histogram.fraction_negative()
    (array([[4]]), array([[0.25]]))
    """

    def __init__(self, layers, n_heads, model="", counted=(), weights=""):
        self.layers = _checked_numbers(layers, "layers", "layers as whole numbers >= 0, each once", 2**63)
        self.n_heads = expect_whole(n_heads, "n_heads", "a whole number of heads >= 1")
        fits = 1 <= self.n_heads <= MOST_HEADS // max(1, len(self.layers))
        expect(fits, "n_heads", f"1 to {MOST_HEADS} heads in all layers together", n_heads)
        if not isinstance(model, str):
            raise TypeError(f"model: expected a model's name, got {shown(repr(model))}")
        if not isinstance(weights, str):
            raise TypeError(f"weights: expected a digest as text, got {shown(repr(weights))}")
        self.model, self.weights = model, weights
        self.counted = frozenset(_checked_numbers(counted, "counted", "keys from 0 to 2**64 - 1, each once", 2**64))
        self.counts = np.zeros((len(self.layers), n_heads, len(_VALUES)), np.int64)

    def __repr__(self):
        n, pieces = int(self.counts.sum()), len(self.counted)
        layers = (
            f"{len(self.layers)} layer{'s' * (len(self.layers) != 1)} of {self.n_heads} head{'s' * (self.n_heads != 1)}"
        )
        texts = f" from {pieces:,} piece{'s' * (pieces > 1)} of text" if pieces else ""
        return f"<ScoreHistogram of {self.model or 'an unnamed model'}: {n:,} raw scores{texts}, {layers}>"

    def update(self, layer, scores):
        """Count all of these scores (head, ...): give the causal ones only. Raises, counting none, on -inf and NaN."""
        place = self._place(layer)
        expect_float_tensor(scores, "scores", "(head, ...)")
        shape = tuple(scores.shape)
        expect(len(shape) >= 1 and shape[0] == self.n_heads, "scores", f"({self.n_heads} heads, ...)", shape)
        # The sum turns -0.0, which is not below 0 but has a bin there, into 0.0.
        scaled = (scores.detach().cpu().float() / SCALE + 0.0).half()
        codes = scaled.reshape(self.n_heads, -1).view(torch.uint16).numpy()
        found = np.stack([np.bincount(head, minlength=2**16) for head in codes])
        if found[:, 0x7C00:0x8000].any() or found[:, 0xFC00:].any():
            expect_finite(scores.detach(), "scores")  # passes where scores are but too large for half precision
        self.counts[place] += found[:, _ASCENDING]

    def __add__(self, other):
        """The counts of both. Raises where layers, heads or models differ or a piece of text would count twice."""
        if not isinstance(other, ScoreHistogram):
            return NotImplemented
        for what in ("layers", "n_heads", "weights" if self.weights and other.weights else "model"):
            ours, theirs = getattr(self, what), getattr(other, what)
            expect(ours == theirs, what, f"{ours!r} in both histograms", repr(theirs))
        twice = len(self.counted & other.counted)
        expect(not twice, "counted", "each piece of text in one histogram only", f"{twice} in both")
        both = ScoreHistogram.__new__(ScoreHistogram)
        both.layers, both.n_heads, both.model, both.weights = self.layers, self.n_heads, self.model, self.weights
        both.counted, both.counts = self.counted | other.counted, self.counts + other.counts
        return both

    @property
    def n(self):
        """Number of scores counted, (layer, head)."""
        return self.counts.sum(axis=-1)

    def fraction_negative(self):
        """Share of the scores below zero, (layer, head), exact; NaN where none were counted."""
        with np.errstate(invalid="ignore"):
            return self.counts[..., : len(_VALUES) // 2].sum(axis=-1) / self.n

    def quantile(self, q):
        """The score below which a share q of each head's lies, to within a bin: (layer, head), or (q, layer, head).

        Raises ValueError where a head has no scores, or has some at the ends.
        """
        q = finite_array(q, "q")
        expect(((q >= 0) & (q <= 1)).all(), "q", "shares from 0 to 1", q)
        values = np.empty((*q.shape, len(self.layers), self.n_heads))
        for layer in self.layers:
            for head in range(self.n_heads):
                edges, below = self._cumulative(layer, head)
                values[..., self.layers.index(layer), head] = np.interp(q * below[-1], below, edges)
        return values

    def density(self, layer, head, n_grid=None, bandwidth="scott"):
        """Kernel density estimate of one head's scores, (grid, density) as `fast_kde` gives it from the scores.

        Takes as long for a billion scores as for a thousand, except for the finer grid that a narrower bandwidth needs.
        Raises as `fast_kde` does, and where scores were counted at the ends.
        """
        return binned_kde(*self._cumulative(layer, head), n_grid, bandwidth)

    def save(self, path):
        """Write a small file, whole or not at all: what was there stays until the new one is complete.

        Raises OSError in one line where it cannot be written.
        """
        path = Path(path)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with open(part, "wb") as file:
                np.savez_compressed(file, **self.__getstate__())
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            raise OSError(f"{path}: expected room and the right to write, got: {error.strerror}") from error
        finally:
            with suppress(OSError):  # of a name that no file can have, say: the line above tells why
                part.unlink(missing_ok=True)

    @staticmethod
    def load(path):
        """The histogram that `save` wrote. Raises ValueError where it is another file, OSError where it is missing."""
        histogram = ScoreHistogram.__new__(ScoreHistogram)
        with open(path, "rb") as file:
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    histogram.__setstate__(dict(arrays))
            except Exception as error:  # A damaged archive raises some ten kinds.
                line = f"{path}: expected a file that ScoreHistogram.save wrote, got something else"
                raise ValueError(line) from error
        return histogram

    def __getstate__(self):
        """What is saved, or sent to another process: the bins that are not empty."""
        places = np.flatnonzero(self.counts)
        counted = np.array(sorted(self.counted), np.uint64)
        model = np.array(self.model)
        shape = np.array(self.counts.shape)
        counts = self.counts.ravel()[places]
        of = {"layers": self.layers, "shape": shape, "model": model, "weights": np.array(self.weights)}
        return {**of, "counted": counted, "at": places, "n": counts}

    def __setstate__(self, arrays):
        self.layers = tuple(int(layer) for layer in arrays["layers"])
        self.counts = np.zeros([int(size) for size in arrays["shape"]], np.int64)
        self.counts.ravel()[arrays["at"]] = arrays["n"]
        self.n_heads, self.model = self.counts.shape[1], str(arrays["model"])
        self.weights = str(arrays.get("weights", ""))  # which older files lack
        self.counted = frozenset(int(key) for key in arrays["counted"])

    def _place(self, layer):
        layer = expect_whole(layer, "layer", "a whole number")
        expect(layer in self.layers, "layer", f"one of the counted layers {list(self.layers)}", layer)
        return self.layers.index(layer)

    def _cumulative(self, layer, head):
        """Edges of the bins from the first occupied to the last, and how many scores lie below each."""
        place = self._place(layer)
        head = expect_whole(head, "head", "a whole number")
        expect(0 <= head < self.n_heads, "head", f"a head from 0 to {self.n_heads - 1}", head)
        counts = self.counts[place, head]
        expect(counts.any(), f"L{layer}H{head}", "at least 1 score", "none; update the histogram first")
        beyond = counts[0] + counts[-1]
        expect(beyond == 0, f"L{layer}H{head}", f"scores within +-{_REACH:,.0f}", f"{beyond} beyond")
        occupied = np.flatnonzero(counts)
        first, last = occupied[0], occupied[-1] + 1
        return _EDGES[first - 1 : last], np.concatenate([[0], np.cumsum(counts[first:last])])


def _checked_numbers(values, argument, expected, limit):
    """Different whole numbers from 0 to below the limit, as a tuple."""
    try:
        numbers = tuple(expect_whole(value, argument, expected) for value in values)
    except TypeError:
        raise TypeError(f"{argument}: expected {expected}, got {shown(repr(values))}") from None
    fits = all(0 <= number < limit for number in numbers) and len(set(numbers)) == len(numbers)
    expect(fits, argument, expected, numbers)
    return numbers
