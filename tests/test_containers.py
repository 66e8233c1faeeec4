"""What users bring as numbers: every kind of container for every public function that takes any.

Each is computed to what the plain numbers give, or refused in one line that names the argument and says what to do.
A public function that has no row in CALLS, and is not named among those without numbers, fails the first test.
"""

import array
import ast
import inspect
import re
import tempfile
import warnings
from collections import deque, namedtuple
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from public import public, with_methods
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import GPT2Config, GPT2LMHeadModel

from headlab.capture import capture_heads, count_scores, score_divisor, score_terms
from headlab.density import choose_bandwidth, fast_kde, kde
from headlab.histogram import ScoreHistogram
from headlab.interventions import (
    logit_attribution,
    logit_terms,
    loss,
    loss_with_biases,
    loss_with_scores,
    loss_without_each_head,
    loss_without_heads,
)
from headlab.masking import causal_mask
from headlab.models import token_strings
from headlab.plots import (
    plot_head_grid,
    plot_layers,
    plot_mode_tree,
    plot_pattern,
    plot_strips,
    write_numbers,
)
from headlab.profiles import (
    cluster_means,
    layer_densities,
)
from headlab.scores import (
    token_pairs,
)
from headlab.shading import shade_text
from headlab.shift import (
    describe_scores,
)

# Numbers that every kind can hold: halves and small whole numbers, and shares that are powers of two.
RAW = torch.tensor([[[3.0, 0, 0], [-2, 1, 0], [0.5, -4, 2]], [[-1.0, 0, 0], [4, -3, 0], [2, 1, -6]]])  # (head, T, T)
PATTERN = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [0.5, 0.25, 0.25]])
PATTERNS = torch.stack([PATTERN, torch.tensor([[1.0, 0, 0], [0.25, 0.75, 0], [0.25, 0.25, 0.5]])])
Q, K = torch.tensor([[1.0, -2], [0.5, 3], [2, 1]]), torch.tensor([[2.0, 1], [-1, 4], [0.5, -3]])  # (T, channel)
WEIGHT, BIAS = torch.arange(-6.0, 6).reshape(2, 6), torch.tensor([1.0, 0, -2, 3, 0.5, 1])
SAMPLES = np.array([-8.0, -3, -3, 0, 1, 2, 2, 5])
GRID = np.array([-4.0, -2, 0, 2, 4])
DENSITY = np.array([0.0, 0.5, 2, 1, 0.25])
HEADS = np.array([[1.0, 4, 2], [0.5, 3, 6]])  # (layer, head)
TEXTS = np.array([HEADS, 2 * HEADS, HEADS[::-1]])  # (text, layer, head)
IDS = torch.tensor([3, 7, 7, 1])
TOKENS = ["a", "b", "c"]


def counted(scores):
    histogram = ScoreHistogram([0], 2)
    histogram.update(0, scores)
    return histogram.counts


def histogram():
    histogram = ScoreHistogram([4], 2)
    histogram.update(4, torch.arange(-9.0, 9).reshape(2, 9))
    return histogram


class Letters:
    """As much of a tokenizer as token_strings asks for."""

    def __len__(self):
        return 26

    def decode(self, ids):
        return chr(97 + ids[0])


# The arguments of each public function, by its name, or what to call and its arguments. Tensors are for those that have
# to be tensors, arrays stand for whatever holds numbers, Python's numbers for one number. Nothing else is changed.
CALLS = {
    "kde": {"samples": SAMPLES, "grid": GRID, "bandwidth": 0.5, "weights": SAMPLES + 8, "bounds": (-9, 9)},
    "fast_kde": {"samples": SAMPLES, "n_grid": 64, "bandwidth": 0.5, "weights": SAMPLES + 8},
    "choose_bandwidth": {"samples": SAMPLES, "weights": SAMPLES + 8},
    "peaks": {"grid": GRID, "density": DENSITY, "least": 0.25},
    "mode_tree": {"samples": SAMPLES, "bandwidths": np.array([0.5, 1, 2]), "least": 0.25},
    "cross_validation_scores": {"samples": SAMPLES, "bandwidths": np.array([0.5, 1, 2]), "weights": SAMPLES + 8},
    "ScoreHistogram": (
        lambda layers, n_heads: ScoreHistogram(layers, n_heads).counts,
        {"layers": [2, 5], "n_heads": 3},
    ),
    "ScoreHistogram.update": (counted, {"scores": RAW}),
    "ScoreHistogram.quantile": (histogram().quantile, {"q": np.array([0, 0.25, 0.5, 1])}),
    "ScoreHistogram.density": (histogram().density, {"layer": 4, "head": 1, "n_grid": 64, "bandwidth": 0.5}),
    "causal_mask": {"n_tokens": 3},
    "mask_scores": {"scores": RAW},
    "softmax": {"scores": RAW},
    "split_qkv": {"fused": WEIGHT},
    "split_heads": {"x": WEIGHT, "n_heads": 3},
    "merge_heads": {"heads": RAW},
    "raw_scores": {"q": Q, "k": K},
    "attention_pattern": {"raw": RAW, "d_head": 4.0},
    "head_outputs": {"pattern": PATTERN, "v": K},
    "project_heads": {"outputs": RAW, "weight": WEIGHT.reshape(6, 2), "bias": BIAS[:2]},
    "token_pairs": {"input_ids": IDS},
    "mean_share": {"pattern": PATTERNS, "pairs": token_pairs(IDS[:3])["same"]},
    "pattern_distances": {"pattern": PATTERNS},
    "causal_scores": {"raw": RAW},
    "causal_square": {"raw": RAW},
    "describe_scores": {"scores": HEADS},
    "shift_stats": {"raw": RAW},
    "count_negative": {"raw": RAW},
    "bootstrap_fraction": {
        "n_negative": np.array([0, 1, 2]),
        "n_scores": np.array([1, 3, 4]),
        "level": 0.5,
        "n_resamples": 50,
        "seed": 1,
    },
    "bootstrap_ratio": {"sums": HEADS, "sizes": np.array([1.0, 3, 4]), "level": 0.5, "n_resamples": 50, "seed": 1},
    "row_contrast": {"raw": RAW},
    "effective_tokens": {"pattern": PATTERNS},
    "centre_rows": {"raw": RAW},
    "below_first_key": {"raw": RAW},
    "below_row_mean": {"raw": RAW},
    "decompose_scores": {"x": Q, "weight": WEIGHT, "bias": BIAS, "n_heads": 2},
    "query_profile": {"pattern": PATTERNS},
    "head_profile": {"raw": RAW, "pattern": PATTERNS},
    "without_first_key": {"pattern": PATTERNS},
    "share_above": {"pattern": PATTERNS, "levels": np.array([0.25, 0.5])},
    "layer_densities": {"scores": [SAMPLES, SAMPLES + 1], "n_grid": 64, "bandwidth": 0.5},
    "large_weights": {"pattern": PATTERNS, "level": 0.5},
    "cluster_means": (lambda values: cluster_means(values, list("aba")), {"values": TEXTS}),
    "compare_groups": {"groups": [TEXTS[..., 0], TEXTS[..., 1] + 1], "n_resamples": 50, "seed": 1},
    "bootstrap_mean": {"values": TEXTS, "level": 0.5, "n_resamples": 50, "seed": 1},
    "variance_shares": {"values": TEXTS},
    "token_strings": (lambda input_ids: token_strings(Letters(), input_ids), {"input_ids": np.array([3, 7, 7, 1])}),
    "plot_mask": {"mask": causal_mask(3), "tokens": TOKENS},
    "plot_scores": {"scores": RAW[0], "tokens": TOKENS, "limit": 5.0},
    "plot_pattern": {"pattern": PATTERN, "tokens": TOKENS},
    "plot_head_grid": {"values": HEADS, "vmin": 0.0, "vmax": 5.0},
    "plot_fused": {"matrix": WEIGHT, "n_heads": 2, "head": 1},
    "plot_distances": {"distances": np.array([[0, 0.5], [0.5, 0]])},
    "plot_score_histogram": {"counts": DENSITY[1:], "edges": GRID},
    "plot_terms": {"means": np.array([[1.0, 2, -3, 4], [0, 0.5, 2, 1]]), "names": list("abcd")},
    "plot_strips": {"groups": [SAMPLES, GRID], "names": ["a", "b"], "size": 4.0, "alpha": 0.5, "jitter": 0.25},
    "plot_density": {"grid": GRID, "density": DENSITY},
    "plot_mode_tree": (
        lambda bandwidths, modes: plot_mode_tree(bandwidths, [modes] * 3),
        {"bandwidths": np.array([0.5, 1, 2]), "modes": GRID},
    ),
    "plot_ridgelines": {"curves": [(GRID, DENSITY), (GRID, DENSITY)], "names": ["a", "b"]},
    "plot_layer_densities": {"grid": GRID, "densities": np.array([DENSITY, DENSITY[::-1]])},
    "plot_head_densities": {
        "grid": GRID,
        "densities": np.array([[DENSITY]]),
        "values": HEADS[:1, :1],
        "vmin": 0.0,
        "vmax": 5.0,
    },
    "masked_future": {"pattern": PATTERN},
    "plot_bands": {"d_model": 12, "n_heads": 3, "head": 1},
    "write_numbers": (
        lambda values: write_numbers(values, plot_head_grid(HEADS, Figure().subplots())),
        {"values": HEADS},
    ),
    "shade_text": (
        lambda pattern, query: shade_text(pattern, TOKENS, query).html,
        {"pattern": PATTERN, "query": 2},
    ),
    "plot_vectors": {"vectors": HEADS[:, :2], "tokens": ["a", "b"]},
    "plot_tokens": {"tokens": ["a", "b"], "values": HEADS[:, 0]},
    "plot_heads": {"x": HEADS, "y": HEADS + 1},
    "plot_head_clusters": {"values": np.stack([HEADS, HEADS**2]), "names": ["a", "b"]},
    "plot_by_layer": {"values": HEADS},
    "plot_layers": (
        lambda n_grid, bandwidth: plot_layers(histogram(), bandwidth, n_grid),
        {"n_grid": 64, "bandwidth": 0.5},
    ),
    "capture_heads": (
        lambda input_ids, layers: capture_heads(model(), input_ids, layers).q,
        {"input_ids": IDS, "layers": [1]},
    ),
    "score_divisor": (lambda layer: score_divisor(model().config, layer), {"layer": 1}),
    "count_scores": (lambda input_ids: count_scores(model(), input_ids).counts, {"input_ids": IDS}),
    "score_terms": (lambda input_ids: score_terms(model(), input_ids)[1], {"input_ids": IDS}),
    "loss": (lambda input_ids: loss(model(), input_ids), {"input_ids": IDS}),
    "loss_with_scores": (
        lambda input_ids: loss_with_scores(model(), input_ids, lambda _, raw: 2 * raw),
        {"input_ids": IDS},
    ),
    "loss_with_biases": (
        lambda input_ids: loss_with_biases(model(), input_ids, lambda _, bias: 2 * bias),
        {"input_ids": IDS},
    ),
    "loss_without_heads": (
        lambda input_ids, other: loss_without_heads(model(), input_ids, [(1, 2)], "resample", other),
        {"input_ids": IDS, "other": IDS},
    ),
    "loss_without_each_head": (
        lambda input_ids, other: loss_without_each_head(model(), input_ids, "resample", other),
        {"input_ids": IDS, "other": IDS},
    ),
    "logit_attribution": (
        lambda input_ids, query, token: logit_attribution(model(), input_ids, query, token),
        {"input_ids": IDS, "query": 2, "token": 3},
    ),
    "logit_terms": (
        lambda input_ids, query, token: logit_terms(model(), input_ids, query, token),
        {"input_ids": IDS, "query": 2, "token": 3},
    ),
    "HeadCapture.scores": (
        lambda layer, head: capture_heads(model(), IDS).scores(layer, head),
        {"layer": 1, "head": 2},
    ),
    "HeadCapture.pattern": (
        lambda layer, head: capture_heads(model(), IDS).pattern(layer, head),
        {"layer": 1, "head": 2},
    ),
}
# Without numbers from a user: they take a model, a text, a path, or what another function of headlab made.
WITHOUT_NUMBERS = {
    *("ScoreHistogram.fraction_negative", "ScoreHistogram.load", "ScoreHistogram.save", "as_label", "gpt2_reference"),
    *("laminar_profile", "load_model", "model_name", "show_figure", "house_style", "LogitTerms.total"),
}
MODULES_WITHOUT_NUMBERS = {
    *("diagram", "exercises", "explorers", "predict", "says", "streaming", "texts"),
}
PUBLIC = public(*MODULES_WITHOUT_NUMBERS)


def test_every_public_function_has_a_row():
    assert {*with_methods(PUBLIC)} == {*CALLS, *WITHOUT_NUMBERS} - {"ScoreHistogram"}


# Those that the fuzz suite leaves to other tests, by the reason.
NOT_FUZZED = {
    "it runs a model, which takes too long for thousands of examples: tests/test_interventions.py, test_contrast.py": {
        *("loss", "loss_with_biases", "loss_with_scores", "loss_without_each_head", "loss_without_heads"),
        *("logit_attribution", "logit_terms", "score_terms"),
    },
    "seaborn draws it, in half a second: tests/test_plots_heads.py": {"plot_head_clusters"},
    "it takes whole numbers and no array: tests/test_plots.py, test_capture.py": {"plot_bands", "score_divisor"},
}


def test_every_public_function_that_takes_numbers_is_fuzzed():
    tried = set()
    for path in Path(__file__).parent.glob("test_fuzz*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("outcome", "drawn"):
                tried |= set(re.findall(r"\w+", ast.unparse(call.args[0])))
    assert {name for name in CALLS if name.split(".")[-1] not in tried} == set().union(*NOT_FUZZED.values())


def row(name):
    """A row of CALLS as a function and its arguments."""
    return CALLS[name] if isinstance(CALLS[name], tuple) else (PUBLIC[name], CALLS[name])


@cache
def model():
    torch.manual_seed(7)
    return GPT2LMHeadModel(GPT2Config(vocab_size=9, n_positions=8, n_layer=2, n_embd=12, n_head=3)).eval()


class Bare:
    """What numpy can read and nothing more, as an array of JAX's."""

    def __init__(self, numbers):
        self._numbers = numbers

    def __array__(self, dtype=None, copy=None):
        return self._numbers


class Polars(Bare):
    """A column of Polars': a missing number becomes NaN for numpy."""

    def to_numpy(self):
        return self._numbers

    def drop_nulls(self):
        raise NotImplementedError


class Xarray(Bare):
    """A labelled array of xarray's."""

    @property
    def values(self):
        return self._numbers

    def dropna(self, dim):
        raise NotImplementedError


class LazyFrame:
    """A query of Polars'."""

    def collect(self):
        raise NotImplementedError


class Dataset:
    """Several arrays of xarray's, which numpy may not read."""

    def __array__(self, dtype=None, copy=None):
        raise TypeError("cannot directly convert an xarray.Dataset\ninto a numpy array")


class Sub(torch.Tensor):
    pass


class SubArray(np.ndarray):
    pass


def when(condition, make):
    """A container of a kind where it can hold such numbers, else None."""
    return make() if condition else None


def whole(x):
    return (x == np.round(x)).all()


def on_disk(x):
    stored = np.memmap(tempfile.TemporaryFile(), np.float64, "w+", shape=x.shape)
    stored[:] = x
    return stored


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


# What becomes of an array of float64 x; every one is to give what x gives.
COMPUTED = {
    "float16": lambda x: x.astype(np.float16),
    "float32": lambda x: x.astype(np.float32),
    "longdouble": lambda x: x.astype(np.longdouble),
    "int8": lambda x: when(whole(x), lambda: x.astype(np.int8)),
    "uint16": lambda x: when(whole(x) and x.min() >= 0, lambda: x.astype(np.uint16)),
    "int64": lambda x: when(whole(x), lambda: x.astype(np.int64)),
    "big-endian": lambda x: x.astype(">f8"),
    "big-endian, whole": lambda x: when(whole(x), lambda: x.astype(">i2")),
    "read-only": read_only,
    "memmap": on_disk,
    "backwards": lambda x: x[::-1].copy()[::-1],
    "Fortran's order": np.asfortranarray,
    "matrix": lambda x: when(x.ndim == 2, lambda: np.asmatrix(x)),
    "subclass": lambda x: x.view(SubArray),
    "masked, none is": lambda x: np.ma.array(x, mask=False),
    "list": lambda x: x.tolist(),
    "list of arrays": list,
    "tuple": lambda x: tuple(x.tolist()),
    "deque": lambda x: deque(x.tolist()),
    "array": lambda x: when(x.ndim == 1, lambda: array.array("d", x.tolist())),
    "memoryview": memoryview,
    "Series": lambda x: when(x.ndim == 1, lambda: pd.Series(x, index=range(9, 9 - len(x), -1))),
    "Index": lambda x: when(x.ndim == 1, lambda: pd.Index(x)),
    "Float64": lambda x: when(x.ndim == 1, lambda: pd.Series(x, dtype="Float64")),
    "Int64": lambda x: when(x.ndim == 1 and whole(x), lambda: pd.Series(x, dtype="Int64")),
    "Categorical": lambda x: when(x.ndim == 1, lambda: pd.Series(x).astype("category")),
    "pandas' sparse": lambda x: when(x.ndim == 1, lambda: pd.Series(x, dtype=pd.SparseDtype(float))),
    "DataFrame": lambda x: when(x.ndim == 2, lambda: pd.DataFrame(x)),
    "DataFrame of two dtypes": lambda x: when(x.ndim == 2, lambda: pd.DataFrame(x).astype({0: "float32"})),
    "Polars": Polars,
    "xarray": Xarray,
    "JAX": Bare,
    "tensor": torch.from_numpy,
    "float16 tensor": lambda x: torch.from_numpy(x).half(),
    "bfloat16 tensor": lambda x: torch.from_numpy(x).bfloat16(),
    "float8 tensor": lambda x: torch.from_numpy(x).to(torch.float8_e4m3fn),
    "int8 tensor": lambda x: when(whole(x), lambda: torch.from_numpy(x).to(torch.int8)),
    "tensor with a gradient": lambda x: torch.from_numpy(x.copy()).requires_grad_(),
    "parameter": lambda x: torch.nn.Parameter(torch.from_numpy(x.copy())),
    "inference tensor": lambda x: inferred(torch.from_numpy(x)),
    "tensor subclass": lambda x: torch.from_numpy(x).as_subclass(Sub),
    "transposed tensor": lambda x: torch.from_numpy(x.T.copy()).permute(*range(x.ndim)[::-1]),
    "negative view": lambda x: torch.from_numpy(-1j * x).conj().imag,
    "list of tensors": lambda x: [torch.tensor(row, requires_grad=True) for row in x],
    "list of bfloat16 tensors": lambda x: [torch.tensor(row).bfloat16() for row in x],
    "tuple of Series": lambda x: when(x.ndim == 2, lambda: tuple(pd.Series(row) for row in x)),
}


def inferred(tensor):
    with torch.inference_mode():
        return tensor.clone()


def spoiled(x, number=np.nan):
    """A copy whose first number is another."""
    x = x.copy()
    x.flat[0] = number
    return x


def first_masked(x):
    return np.ma.array(x, mask=np.arange(x.size).reshape(x.shape) == 0)


def objects(x):
    return np.array([Decimal(number) for number in x.flat], object).reshape(x.shape)


Pair = namedtuple("Pair", ["mean", "median"])

# What is refused: how it is made of an array x, and what the line says.
REFUSED = {
    "masked": (first_masked, r"without a mask \(x.compressed\(\) .*, x.filled\(0.0\) .*got 1 masked of"),
    "masked, as JAX gives it": (lambda x: Bare(first_masked(x)), "without a mask"),
    "list of masked": (lambda x: list(np.ma.atleast_2d(first_masked(x))), "without a mask"),
    "a masked number in a list": (lambda x: [np.ma.masked, *x[1:]], "without a mask"),
    "structured": (lambda x: np.rec.fromarrays([x, x], names="a,b"), r"take one field of x, such as x\['a'\]"),
    "objects": (objects, r"np.asarray\(x, float\) makes them so"),
    "huge whole numbers": (lambda x: [2**70, *x[1:]], r"np.asarray\(x, float\)"),
    "None in a list": (lambda x: [None, *x[1:]], "real numbers, got None"),
    "dates": (lambda x: np.full(x.shape, np.datetime64("2026-01-01")), "real numbers .*datetime64"),
    "complex": (lambda x: x + 0j, r"x.real, x.imag or abs\(x\)"),
    "bool": (lambda x: x > 0, r"np.asarray\(x, float\) makes them so\), got bool"),
    "True in a list": (lambda x: [True, *x[1:]], "got bool"),
    "strings": (lambda x: x.astype(str), r"np.asarray\(x, float\) makes them so\), got <U"),
    "new strings": (lambda x: x.astype(np.dtypes.StringDType()), r"np.asarray\(x, float\)"),
    "NaN": (spoiled, r"finite numbers, got nan at index \(0"),
    "inf in a list": (lambda x: spoiled(x, np.inf).tolist(), r"finite numbers, got inf at index \(0"),
    "huge longdouble": (lambda x: spoiled(x.astype(np.longdouble), np.longdouble("1e4000")), "up to 1e\\+100 in size"),
    "ragged": (lambda x: [[1.0, 2.0], [3.0]], "rows of one length"),
    "ragged tensors": (lambda x: [torch.ones(2), torch.ones(3)], "rows of one length"),
    "named tuple": (lambda x: Pair(x, x), "one field of it, such as .mean"),
    "generator": (lambda x: (number for number in x), r"\(list\(x\)\), got generator"),
    "set": (lambda x: set(x.flat), r"\(list\(x\)\), got set"),
    "dict": (lambda x: dict(enumerate(x)), r"\(list\(x.values\(\)\)\), got dict"),
    "None": (lambda x: None, "real numbers, got None"),
    "text": (lambda x: "1.0", "got <U3"),
    "bytes": (lambda x: b"12", "got "),
    "bytearray": (lambda x: bytearray(b"12"), "got bytearray"),
    "function": (lambda x: np.mean, "real numbers, got "),
    "NA in Float64": (lambda x: pd.Series(spoiled(x.ravel()), dtype="Float64"), r"\(x.dropna\(\) leaves .*got nan"),
    "NA in Int64": (lambda x: pd.Series([None, *range(1, x.size)], dtype="Int64"), r"x.dropna\(\)"),
    "NA in a Categorical": (lambda x: pd.Series(spoiled(x.ravel())).astype("category"), r"x.dropna\(\)"),
    "NA in a DataFrame": (lambda x: pd.DataFrame(np.atleast_2d(spoiled(x.ravel()))), r"x.dropna\(\)"),
    "pandas' strings": (lambda x: pd.Series(["1", "2"]), r"got '1' at index \(0,\)"),
    "pandas' boolean": (lambda x: pd.Series([True, None], dtype="boolean"), "real numbers.*, got "),
    "pandas' intervals": (lambda x: pd.interval_range(0, 3), "the others\\), got Interval"),
    "table with names": (lambda x: pd.DataFrame({"a": [1.0], "b": ["x"]}), r"got 'x' at index \(0, 1\)"),
    "null of Polars": (lambda x: Polars(spoiled(x)), r"x.drop_nulls\(\)"),
    "missing in xarray": (lambda x: Xarray(spoiled(x)), r"x.dropna\(\)"),
    "query": (lambda x: LazyFrame(), r"real numbers \(x.collect\(\).to_numpy\(\)\), got LazyFrame"),
    "Dataset": (lambda x: Dataset(), "that numpy can read, got Dataset: cannot directly convert"),
    "scipy's sparse": (lambda x: scipy.sparse.csr_array(np.atleast_2d(x.ravel())), r"\(x.toarray\(\)\), got csr_array"),
    "complex tensor": (lambda x: torch.from_numpy(x + 0j), "x.real"),
    "bool tensor": (lambda x: torch.from_numpy(x > 0), "got bool"),
    "sparse tensor": (lambda x: torch.from_numpy(x).to_sparse(), r"plain tensor \(x.to_dense\(\)"),
    "CSR tensor": (lambda x: torch.from_numpy(np.atleast_2d(x.ravel())).to_sparse_csr(), r"x.to_dense\(\)"),
    "MKL-DNN tensor": (lambda x: torch.from_numpy(x).float().to_mkldnn(), r"x.to_dense\(\)"),
    "list of sparse tensors": (
        lambda x: [torch.from_numpy(np.atleast_1d(row)).to_sparse() for row in x],
        r"x.to_dense\(\)",
    ),
    "meta tensor": (lambda x: torch.from_numpy(x).to("meta"), "on the device meta a tensor has a shape and no numbers"),
    "nested tensor": (lambda x: torch.nested.nested_tensor([torch.from_numpy(x)] * 2), r"those in x.unbind\(\)"),
    "jagged tensor": (
        lambda x: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
        r"x.unbind\(\)",
    ),
    "quantised tensor": (
        lambda x: torch.quantize_per_tensor(torch.from_numpy(x).float(), 0.5, 0, torch.qint8),
        r"x.dequantize\(\)",
    ),
    "masked tensor": (
        lambda x: torch.masked.masked_tensor(torch.from_numpy(x), torch.from_numpy(x > 0)),
        r"x.get_data\(\)\[x.get_mask\(\)\]",
    ),
    "fake tensor": (lambda x: FakeTensorMode().from_tensor(torch.from_numpy(x)), "tensor of numbers in it"),
    "parameter without numbers": (lambda x: torch.nn.UninitializedParameter(), "run the model once"),
    "packed tensor": (lambda x: torch.zeros(2, dtype=torch.uint8).view(torch.int4), "that numpy knows too"),
}
NOT_FINITE = {kind for kind in REFUSED if re.match("NaN|NA|inf|huge longdouble|null|missing", kind)}
# The same of a tensor t where a plain tensor has to be.
COMPUTED_TENSORS = {
    "float64": lambda t: t.double(),
    "float16": lambda t: t.half(),
    "bfloat16": lambda t: t.bfloat16(),
    "gradient": lambda t: t.clone().requires_grad_(),
    "parameter": lambda t: torch.nn.Parameter(t.clone()),
    "inference": inferred,
    "subclass": lambda t: t.as_subclass(Sub),
    "transposed": lambda t: t.permute(*range(t.ndim)[::-1]).contiguous().permute(*range(t.ndim)[::-1]),
    "negative view": lambda t: (-1j * t).conj().imag,
}
# Tensors without all their numbers one by one in memory.
LAYOUTS = ("sparse tensor", "CSR tensor", "MKL-DNN tensor", "meta tensor", "nested tensor", "jagged tensor")
LAYOUTS += ("quantised tensor", "masked tensor", "fake tensor", "parameter without numbers")
OF_ANY_DTYPE = ("inference", "subclass", "transposed")
REFUSED_TENSORS = {
    "array": (lambda t: t.numpy(), r"\(torch.as_tensor\(x\) makes one\), got ndarray"),
    "masked": (lambda t: first_masked(t.numpy()), r"\(torch.as_tensor\(x.filled\(0.0\)\) makes one\), got MaskedArray"),
    "list": (lambda t: t.tolist(), r"\(torch.as_tensor\(x\) makes one\), got list"),
    "DataFrame": (lambda t: pd.DataFrame(np.atleast_2d(t.ravel())), r"\(torch.as_tensor\(x.to_numpy\(\)\) makes one\)"),
    "Polars": (lambda t: Polars(t.numpy()), r"torch.as_tensor\(x.to_numpy\(\)\)"),
    "xarray": (lambda t: Xarray(t.numpy()), r"torch.as_tensor\(x\)"),
    "scipy's sparse": (lambda t: scipy.sparse.coo_array(np.eye(3)), r"torch.as_tensor\(x.toarray\(\)\)"),
    "generator": (lambda t: (row for row in t), r"torch.as_tensor\(list\(x\)\)"),
    "dict": (lambda t: {0: t}, r"torch.as_tensor\(list\(x.values\(\)\)\)"),
    "None": (lambda t: None, "got None"),
    "text": (lambda t: "text", "got 'text'"),
    "complex": (lambda t: t + 0j, "got torch.complex64"),
    "float8": (lambda t: t.to(torch.float8_e5m2), "got torch.float8_e5m2"),
    "wrong kind": (lambda t: t.to(torch.int16 if t.dtype == torch.bool else torch.bool), "got torch.(int16|bool)"),
    **{kind: (lambda t, make=REFUSED[kind][0]: make(t.numpy()), REFUSED[kind][1]) for kind in LAYOUTS},
}
COMPUTED_SCALARS = {
    "float32": lambda x: when(isinstance(x, float), lambda: np.float32(x)),
    "float64": lambda x: when(isinstance(x, float), lambda: np.float64(x)),
    "longdouble": lambda x: when(isinstance(x, float), lambda: np.longdouble(x)),
    "array without axes": np.array,
    "tensor without axes": lambda x: torch.tensor(x, requires_grad=isinstance(x, float)),
    "inference tensor": lambda x: inferred(torch.tensor(x)),
    "int16": lambda x: when(isinstance(x, int), lambda: np.int16(x)),
    "int64 tensor": lambda x: when(isinstance(x, int), lambda: torch.tensor(x)),
}
REFUSED_SCALARS = {
    "True": (lambda x: True, "got True"),
    "a tensor of True": (lambda x: torch.tensor(True), r"got tensor\(True\)|got True"),
    "text": (lambda x: "2", "got '2'"),
    "array of one": (lambda x: np.array([x]), r"got array\(\[|got \["),
    "masked": (lambda x: np.ma.masked, "got masked"),
    "NA": (lambda x: pd.NA, "got <NA>"),
    "Decimal": (lambda x: Decimal(2), "got Decimal"),
    "complex": (lambda x: 1j, "got 1j"),
    "meta tensor": (lambda x: torch.tensor(x, device="meta"), "got tensor"),
    "sparse tensor": (lambda x: torch.tensor(x).to_sparse(), "got tensor"),
    "NaN": (lambda x: np.nan, "got nan"),
    "dict": (lambda x: {}, "got {}"),
}


def places(plain):
    """Each argument that holds numbers: its name, the numbers, the call's arguments with a container in their place."""
    for argument, value in plain.items():
        if isinstance(value, np.ndarray | torch.Tensor | int | float):
            yield argument, value, lambda container, argument=argument: {**plain, argument: container}
        elif isinstance(value, list) and isinstance(value[0], np.ndarray):  # one of several arrays
            yield argument, value[0], lambda container, a=argument, rest=value[1:]: {**plain, a: [container, *rest]}
        elif isinstance(value, list) and isinstance(value[0], tuple):  # half of one of several pairs
            (first, second), *rest = value
            yield argument, second, lambda container, a=argument, f=first, r=rest: {**plain, a: [(f, container), *r]}


def kinds_of(value):
    """What is computed and what is refused in the place of such a value."""
    if isinstance(value, np.ndarray):
        return COMPUTED, REFUSED
    return ({}, REFUSED_TENSORS) if isinstance(value, torch.Tensor) else (COMPUTED_SCALARS, REFUSED_SCALARS)


def made(make, value):
    """A container of the value; what its own library warns of is not headlab's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(value.astype(float) if isinstance(value, np.ndarray) else value)


def call(function, arguments):
    """The result, with every warning an error."""
    if "ax" in inspect.signature(function).parameters:
        arguments = {**arguments, "ax": Figure().subplots()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(**arguments)


def numbers_in(result):
    """All numbers of a result, or of what is drawn on axes, as one list of arrays."""
    if isinstance(result, Axes):
        drawn = [line.get_xydata() for line in result.lines]
        drawn += [image.get_array() for image in result.images]
        drawn += [patch.get_path().vertices for patch in result.patches]
        for collection in result.collections:
            drawn += [collection.get_offsets(), *(path.vertices for path in collection.get_paths())]
            drawn += [] if collection.get_array() is None else [collection.get_array()]
        return [np.ma.filled(numbers, 0.0).ravel() for numbers in drawn]
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, list | tuple) or getattr(result, "dtype", None) == np.dtype(object):
        return [numbers for part in result for numbers in numbers_in(part)]
    if isinstance(result, str):
        return [np.array([ord(letter) for letter in result])]
    return [result.detach().double().numpy() if isinstance(result, torch.Tensor) else np.asarray(result, float)]


def assert_agree(result, expected, rounding=1e-6):
    for ours, theirs in zip(numbers_in(result), numbers_in(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rounding, rounding)


@pytest.mark.parametrize("name", CALLS)
def test_numbers_of_every_kind_are_computed_or_refused_with_a_remedy(name):
    function, plain = row(name)
    expected = call(function, plain)
    assert sum(numbers.size for numbers in numbers_in(expected))
    for place, (argument, value, put) in enumerate(places(plain)):
        computed, refused = kinds_of(value)
        if name.startswith("plot_"):  # a picture takes long: other kinds for each
            computed = dict(list(computed.items())[(len(name) + place) % 5 :: 5])
        for kind, make in computed.items():
            container = made(make, value)
            if container is None:
                continue
            try:
                result = call(function, put(container))
            except Exception as error:
                if name == "token_strings" and "expected whole numbers" in str(error):
                    continue
                raise AssertionError(f"{argument} as {kind}") from error
            assert_agree(result, expected)
        for kind, (make, remedy) in refused.items():
            if kind == "None" and argument == "weights":  # its default
                continue
            if name == "write_numbers" and kind in NOT_FINITE:  # such cells stay empty
                continue
            with pytest.raises((TypeError, ValueError)) as caught:
                call(function, put(made(make, value)))
            line = str(caught.value)
            if argument == "input_ids" and name.startswith("loss") and kind == "list":  # which is a list of texts there
                remedy = "got 3"
            remedy = "whole numbers" if name == "token_strings" and "whole numbers" in line else remedy
            assert re.search(rf"^({argument}|samples|density): expected .*{remedy}", line), (kind, line)
            assert len(line.splitlines()) == 1 and len(line) < 300, (kind, line)


@pytest.mark.parametrize("name", [name for name in CALLS if any(map(torch.is_tensor, row(name)[1].values()))])
def test_tensors_of_every_kind_are_computed(name):
    function, plain = row(name)
    expected = call(function, plain)
    for kind, make in COMPUTED_TENSORS.items():
        others = kind in OF_ANY_DTYPE
        tensors = {
            argument: made(make, value)
            for argument, value in plain.items()
            if isinstance(value, torch.Tensor) and (others or value.is_floating_point())
        }
        assert_agree(call(function, {**plain, **tensors}), expected, 1e-2 if "float16" in kind else 1e-6)


@pytest.mark.parametrize(
    "groups",
    [
        {"a": SAMPLES, "b": GRID},
        {1, 2},
        pd.DataFrame([SAMPLES, SAMPLES]),  # would give the names of its columns
        5.0,
        None,
    ],
)
def test_a_list_of_arrays_is_one_with_an_order(groups):
    for call in (lambda: plot_strips(groups, ["a", "b"]), lambda: layer_densities(groups)):
        with pytest.raises(TypeError, match=r"^(groups|scores): expected [^\n]+, got [^\n]+$"):
            call()
    with pytest.raises(TypeError, match=r"^tokens: expected 3 labels, [^\n]+ in a list, one after the other, got set$"):
        plot_pattern(PATTERN, {"a", "b", "c"})


def test_a_list_of_arrays_may_be_any_that_has_an_order():
    for groups in (
        np.array([SAMPLES, SAMPLES]),
        iter([SAMPLES, SAMPLES]),
        torch.from_numpy(np.array([SAMPLES, SAMPLES])),
    ):
        assert plot_strips(groups, ["a", "b"]).get_title() == "16 points"


def test_scores_behind_a_mask_are_not_counted():
    """What was found: 16 scores in place of 10, a density beyond 200, -9999 in a picture, a bandwidth of 20.9."""
    visible = np.tril(np.ones((4, 4), bool))
    raw = np.full((4, 4), 200.0)
    raw[visible] = np.arange(10.0)
    masked = np.ma.masked_where(~visible, raw)
    for function in (describe_scores, fast_kde, choose_bandwidth, lambda x: kde(x, GRID)):
        with pytest.raises(TypeError, match=r"^(scores|samples): expected .*x.compressed\(\).*, got 6 masked of 16$"):
            function(masked)
    assert describe_scores(masked.compressed()).n == 10
    assert fast_kde(masked.compressed())[0].max() < 20
    assert 1 < choose_bandwidth(masked.compressed()) < 2
    with pytest.raises(TypeError, match="^values: expected .*x.filled.*, got 1 masked of 2$"):
        plot_head_grid(np.ma.masked_less([[1.0, -9999.0]], 0))


@pytest.mark.parametrize("make", [np.array, torch.tensor, pd.Series, tuple, lambda x: [torch.tensor(e) for e in x]])
def test_bounds_of_every_kind(make):
    expected = kde(SAMPLES, GRID, 0.5, bounds=(-9.0, 9.0))
    assert_agree(kde(SAMPLES, GRID, 0.5, bounds=make([-9.0, 9.0])), expected)
    assert_agree(kde(SAMPLES, GRID, 0.5, bounds=[torch.tensor(-9.0, requires_grad=True), np.float32(9)]), expected)


@pytest.mark.parametrize(
    "bounds", [{-9.0, 9.0}, {0: -9.0, 1: 9.0}, np.ma.masked_less([-9.0, 9.0], 0), [True, 9.0], "09"]
)
def test_bounds_that_are_no_two_numbers(bounds):
    with pytest.raises(TypeError, match=r"^bounds: expected two numbers \(low, high\)[^\n]*, got [^\n]+$"):
        kde([1.0, 2.0], GRID, 0.5, bounds=bounds)


@pytest.mark.parametrize("bounds", [(0, 10**400), (np.nan, 1.0), (1.0, 0.0), (0.0, 1.0, 2.0), ()])
def test_bounds_that_no_score_can_lie_between(bounds):
    with pytest.raises(ValueError, match=r"^bounds: expected two numbers \(low, high\)[^\n]*, got [^\n]+$"):
        kde([1.0, 2.0], GRID, 0.5, bounds=bounds)


def test_what_a_tokenizer_gives_is_not_yet_the_token_ids(mini):
    _, tokenizer = mini
    encoding = tokenizer("The cat sat", return_tensors="pt")
    for function in (token_pairs, lambda x: capture_heads(model(), x), lambda x: loss(model(), x)):
        with pytest.raises(
            TypeError, match=r"^input_ids: .*\(torch.as_tensor\(x\['input_ids'\]\).*, got BatchEncoding$"
        ):
            function(encoding)


@pytest.mark.parametrize("function", [loss_with_scores, loss_with_biases])
def test_what_a_change_returns_is_a_plain_tensor_or_refused_with_a_remedy(function):
    half = {"half": (torch.Tensor.half, "got torch.float16")}
    for kind, (make, remedy) in (REFUSED_TENSORS | half).items():
        if kind not in {*LAYOUTS, *half} - {"meta tensor"}:  # the line names what `change` has to return
            remedy = ""
        with pytest.raises((TypeError, ValueError), match=rf"^change: expected [^\n]*{remedy}[^\n]*$") as caught:
            function(model(), IDS, lambda _, before, make=make: made(make, before))
        assert len(str(caught.value)) < 300, kind


@pytest.mark.parametrize("missing", [np.nan, None, np.ma.masked, pd.NA, pd.NaT, 1.5, ("a",), b"a"], ids=repr)
def test_a_text_whose_cluster_has_no_name_is_told(missing):
    with pytest.raises(TypeError, match=r"^clusters: expected a name for each text's cluster, [^\n]+, got [^\n]+$"):
        cluster_means(TEXTS, ["a", missing, missing])
