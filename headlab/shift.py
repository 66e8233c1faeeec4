"""Lesson 4: how far the raw scores lie below zero, where that comes from and what of it softmax can see."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from headlab._expect import (
    LARGEST,
    expect,
    expect_finite,
    expect_flag,
    expect_float_tensor,
    expect_number,
    expect_square,
    expect_whole,
    finite_array,
    without_overflow,
)
from headlab.masking import causal_mask
from headlab.splitting import split_heads, split_qkv

REFERENCE = Path(__file__).parent / "data" / "gpt2_reference.npz"


class ShiftStats(NamedTuple):
    """Statistics of the causal raw scores of each head, numpy arrays of the leading shape (...)."""

    n: np.ndarray
    mean: np.ndarray
    median: np.ndarray
    std: np.ndarray
    fraction_negative: np.ndarray


class RowContrast(NamedTuple):
    """How much the keys of one query differ, for each head, numpy arrays of the leading shape (...)."""

    spread: np.ndarray
    gap: np.ndarray


class ScoreTerms(NamedTuple):
    """The four parts of the raw scores, each (head, query, key); their sum is the raw scores."""

    content: torch.Tensor
    query_bias: torch.Tensor
    key_bias: torch.Tensor
    constant: torch.Tensor


def causal_scores(raw, drop_first_key=False):
    """The raw scores that a query may look at, in one row for each head.

    raw (..., query, key) of shape (..., T, T), neither scaled nor masked (what it holds above the diagonal is not
    looked at); drop_first_key leaves column 0 out. Returns float64 numpy (..., n), in units of q.k, with n = T(T+1)/2,
    or T(T-1)/2 without the first key. Raises where raw is not square, a causal entry is not finite, or none is left.
    Introduced in lesson 4.
    """
    values, visible = _causal(raw, drop_first_key)
    return values[..., visible]


def describe_scores(scores):
    """ShiftStats of scores (..., n), numpy, as causal_scores gives them; those of several texts may be joined.

    Introduced in lesson 4.
    """
    scores = finite_array(scores, "scores").astype(np.float64)
    expect(scores.ndim >= 1 and scores.shape[-1] >= 1, "scores", "at least one score (..., n)", f"shape {scores.shape}")
    return ShiftStats(
        n=np.full(scores.shape[:-1], scores.shape[-1]),
        mean=scores.mean(-1),
        median=np.median(scores, -1),
        std=scores.std(-1),
        fraction_negative=(scores < 0).mean(-1),
    )


def shift_stats(raw, drop_first_key=False):
    """Size of the shift, head by head, over the causal entries of the raw scores only.

    raw and drop_first_key as causal_scores takes them. Returns ShiftStats of shape (...): the number of scores, their
    mean, median and (population) standard deviation in units of q.k, and the fraction below zero.
    Introduced in lesson 4. Source: the report, which sees the shift.
    """
    return describe_scores(causal_scores(raw, drop_first_key))


def count_negative(raw, drop_first_key=False):
    """How many scores of each row are below zero, and how many scores the row has.

    raw (..., T, T). Returns numpy whole numbers (..., query) and (query,): causal entries only, without column 0
    where drop_first_key is set (then without row 0, which has no other key). Raises as shift_stats does.
    Introduced in lesson 4.
    """
    values, visible = _causal(raw, drop_first_key)
    rows = visible.any(-1)
    return ((values < 0) & visible).sum(-1)[..., rows], visible.sum(-1)[rows]


def bootstrap_fraction(n_negative, n_scores, level=0.95, n_resamples=2000, seed=0):
    """Confidence interval of a fraction, from resampled rows: scores of a row share a query and are not independent.

    n_negative (..., rows) and n_scores (rows,), as count_negative gives them; rows of several texts may be joined, and
    another unit, such as heads, may stand in the rows' place.
    Returns (low, high), numpy arrays of shape (...): the percentile interval of the fraction, the sum of the one over
    the sum of the other, when whole rows are drawn with replacement. Raises where the counts do not fit each other.
    Introduced in lesson 4. Source: Efron and Tibshirani 1993, chapter 13; rows as the unit, as in a cluster bootstrap.
    """
    n_negative, n_scores = finite_array(n_negative, "n_negative"), finite_array(n_scores, "n_scores")
    n_rows = n_scores.size
    expect(n_scores.ndim == 1 and n_rows >= 2, "n_scores", "at least two rows (rows,)", f"shape {n_scores.shape}")
    expect(n_negative.shape[-1:] == (n_rows,), "n_negative", f"(..., {n_rows}) rows", f"shape {n_negative.shape}")
    fits = (n_scores > 0).all() and (n_negative >= 0).all() and (n_negative <= n_scores).all()
    expect(fits, "n_negative", "counts from 0 to n_scores, and n_scores >= 1", "others")
    return bootstrap_ratio(n_negative, n_scores, level, n_resamples, seed)


def bootstrap_ratio(sums, sizes, level=0.95, n_resamples=2000, seed=0):
    """Percentile interval of sum(sums) / sum(sizes) when whole units, such as rows, are drawn with replacement.

    sums (..., units) and sizes (units,), at least two, the sizes above 0. Returns (low, high), numpy arrays of shape
    (...). Raises where the two do not fit each other or level or n_resamples make no sense.
    Introduced in lesson 4. Source: as bootstrap_fraction.
    """
    sums, sizes = (finite_array(x, name).astype(np.float64) for x, name in ((sums, "sums"), (sizes, "sizes")))
    fits = sizes.ndim == 1 and sizes.size >= 2 and sizes.min() >= 1 / LARGEST
    expect(fits, "sizes", "at least two numbers above 0 (units,)", f"{sizes} of shape {sizes.shape}")
    expect(sums.shape[-1:] == sizes.shape, "sums", f"(..., {sizes.size}) units", f"shape {sums.shape}")
    expect_number(level, "level", "a confidence level between 0 and 1")
    expect(0 < level < 1, "level", "a confidence level between 0 and 1", level)
    n_resamples = expect_whole(n_resamples, "n_resamples", "a whole number from 1 to 100000")
    expect(1 <= n_resamples <= 100_000, "n_resamples", "a whole number from 1 to 100000", n_resamples)
    seed = expect_whole(seed, "seed", "a whole number >= 0")
    expect(seed >= 0, "seed", "a whole number >= 0", seed)
    # How often each unit was drawn, instead of which units: the same resamples, in one matrix product.
    n_units = len(sizes)
    drawn = np.random.default_rng(seed).multinomial(n_units, np.full(n_units, 1 / n_units), size=n_resamples)
    low, high = np.quantile(sums @ drawn.T / (drawn @ sizes), [(1 - level) / 2, (1 + level) / 2], axis=-1)
    return low, high


def row_contrast(raw):
    """What softmax can see of the raw scores: how much the keys of one query differ, averaged over queries.

    raw (..., T, T) with T >= 3. Returns RowContrast of shape (...), in units of q.k, means over the queries from the
    third on, the first that can choose between the first key, the previous one and itself: `spread`, the (population)
    standard deviation of a row's scores; `gap`, the first key's score less the mean of the row's other scores. A
    constant added to a row changes neither. Raises as shift_stats does.
    Introduced in lesson 4.
    """
    values, visible = _causal(raw)
    expect(len(visible) >= 3, "raw", "at least 3 tokens (..., T, T)", f"shape {tuple(raw.shape)}")
    scores = np.where(visible, values, np.nan)[..., 2:, :]
    gap = scores[..., 0] - np.nanmean(scores[..., 1:], -1)
    return RowContrast(spread=np.nanstd(scores, -1).mean(-1), gap=gap.mean(-1))


def effective_tokens(pattern):
    """How many keys a query attends to: exp of the entropy of its row, 1 (one key has it all) to T (even shares).

    pattern (..., query, key), rows that sum to 1. Returns numpy (..., query). Raises where a row is not made of shares.
    Introduced in lesson 4. Source: Hill 1973, diversity number of order 1.
    """
    expect_float_tensor(pattern, "pattern", "(..., query, key)")
    expect(pattern.ndim >= 1 and pattern.shape[-1] >= 1, "pattern", "at least one key", f"shape {tuple(pattern.shape)}")
    expect_finite(pattern.detach(), "pattern")
    shares = pattern.detach().cpu().double().numpy()
    least = shares.min(initial=0.0)
    expect(least >= 0, "pattern", "shares >= 0 (take the softmax first)", f"{least:.4g}")
    sums = shares.sum(-1)
    # Half precision keeps three digits of a share.
    worst = np.ravel(sums)[np.abs(sums - 1).argmax()] if sums.size else 1.0
    expect(abs(worst - 1) < 1e-2, "pattern", "rows that sum to 1 (take the softmax first)", f"a sum of {worst:.4g}")
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)  # 0 log 0 counts as 0, its limit.
    return np.exp(-(shares * logs).sum(-1))


def decompose_scores(x, weight, bias, n_heads):
    """The raw scores of one layer as the sum of four terms, for the projection has a weight and a bias.

    x (T, d_model), what enters c_attn (ln_1's output); weight (d_model, 3 * d_model) and bias (3 * d_model,), those of
    c_attn, as Hugging Face lays them out. With q = x Wq + bq and k = x Wk + bk, returns ScoreTerms, each (H, T, T),
    axes (head, query i, key j): content (x_i Wq).(x_j Wk); query_bias bq.(x_j Wk), the same in every row; key_bias
    (x_i Wq).bk, constant along a row; constant bq.bk. Softmax sees neither of the last two. Raises where shapes or
    dtypes do not fit or an entry is not finite.
    Introduced in lesson 4.
    """
    expect_float_tensor(x, "x", "(T, d_model)")
    expect(x.ndim == 2 and 0 not in x.shape, "x", "(T, d_model) with T >= 1", f"shape {tuple(x.shape)}")
    d_model = x.shape[1]
    for name, value, shape in (("weight", weight, (d_model, 3 * d_model)), ("bias", bias, (3 * d_model,))):
        expect_float_tensor(value, name, str(shape))
        expect(value.shape == shape, name, f"shape {shape} to fit x", tuple(value.shape))
        expect(value.dtype == x.dtype, name, f"the dtype of x {x.dtype}", value.dtype)
    for name, value in (("x", x), ("weight", weight), ("bias", bias)):
        expect_finite(value.detach(), name)
    (weight_q, weight_k, _), (bias_q, bias_k, _) = split_qkv(weight), split_qkv(bias)
    q, k = split_heads(x @ weight_q, n_heads), split_heads(x @ weight_k, n_heads)  # (head, token, channel)
    bias_q, bias_k = split_heads(bias_q[None], n_heads), split_heads(bias_k[None], n_heads)  # (head, 1, channel)
    content = without_overflow(q @ k.mT, "x")
    others = (bias_q @ k.mT, q @ bias_k.mT, bias_q @ bias_k.mT)  # (head, 1, key), (head, query, 1), (head, 1, 1)
    return ScoreTerms(content, *(without_overflow(term, "bias").expand_as(content) for term in others))


def gpt2_reference():
    """What this package's functions measured on recordings of GPT-2 small: a dictionary of numpy arrays.

    Six short prompts. `prompts` (6,), their texts, and `n_tokens` (6,). Raw scores are in units of q.k; all arrays
    (12, 12, ...) are by layer and head.

    Over the causal raw scores of the first five prompts together: `n` (12, 12), `mean`, `std`, `median`,
    `fraction_negative`; `quantiles` (12, 12, 5) at `quantile_levels`; `histogram` (12, 12, bins), counts between the
    whole numbers `edges` (bins + 1,); `n_negative` (12, 12, rows) and `n_scores` (rows,), the counts of each row,
    prompt after prompt. The same names with `_no_first_key`: without column 0 (no quantiles, no histogram).

    Over the queries from the third on of the same prompts: `spread` and `gap` (row_contrast), `effective_tokens`,
    `top_share`, `first_share`, `previous_share` (share of the largest, the first and the previous key) and
    `mean_step_back` (tokens from query back to key); `share_above` (12, 12, 8), the share of the pairs whose attention
    reaches each of `share_levels`, and `share_above_no_first_key`, the same for the pairs without the first key.

    Of the sixth prompt, whose layer inputs are recorded: its `tokens` (9,); `terms` (12, 12, 4), the mean over its
    causal pairs of each of `term_names` (those of ScoreTerms); `terms_by_key` (12, 12, 9, 4), the same for the pairs of
    each key, and `terms_other_keys` (12, 12, 4), for all pairs but the first key's; `first_share_without` and
    `effective_tokens_without` (5, 12, 12), from the third query on, when nothing (the first entry) or one of the terms
    is removed; `pattern_change_without` (5, 12, 12), the largest change of any share.

    Over the causal raw scores of a layer's 12 heads: `layer_quantiles` (12, 5), of the first five prompts together,
    at `quantile_levels`; and prompt by prompt `prompt_median` and `prompt_fraction_negative` (6, 12). Head by head:
    `prompt_profiles` (6, 7, 12, 12), for each prompt the statistics `profile_names` (those of Profile in lesson 7).
    Introduced in lesson 4. Source: tools/measure_gpt2_reference.py.
    """
    with np.load(REFERENCE) as file:
        return dict(file)


def _causal(raw, drop_first_key=False):
    """The raw scores as float64 (..., T, T), 0 where not looked at, and which entries (T, T) are."""
    expect_square(raw, "raw")
    expect_flag(drop_first_key, "drop_first_key")
    visible = causal_mask(raw.shape[-1])
    visible[:, 0] &= not drop_first_key
    expect(visible.any(), "raw", "at least two tokens where the first key is dropped", f"shape {tuple(raw.shape)}")
    values = raw.detach().cpu().double().masked_fill(~visible, 0.0)
    expect_finite(values, "raw")
    expect((values.abs() <= LARGEST).all(), "raw", f"scores up to {LARGEST:.0e} in size", "one beyond")
    return values.numpy(), visible.numpy()
