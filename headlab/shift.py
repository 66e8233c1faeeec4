"""Lesson 4: how far the raw scores lie below zero, and how sure we can be of that."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from headlab._expect import (
    LARGEST,
    expect,
    expect_finite,
    expect_flag,
    expect_number,
    expect_square,
    expect_whole,
    finite_array,
)
from headlab.masking import causal_mask

MOST_DRAWN = 2**24  # counts of units at a time: 128 MiB, whatever the number of units
REFERENCE = Path(__file__).parent / "data" / "gpt2_reference.npz"


class ShiftStats(NamedTuple):
    """Statistics of the causal raw scores of each head, numpy arrays of the leading shape (...)."""

    n: np.ndarray
    mean: np.ndarray
    median: np.ndarray
    std: np.ndarray
    fraction_negative: np.ndarray


def causal_scores(raw, drop_first_key=False):
    """The raw scores that a query may look at, in one row for each head.

    raw (..., query, key) of shape (..., T, T), neither scaled nor masked (entries above the diagonal are ignored);
    drop_first_key leaves column 0 out. Returns float64 numpy (..., n), in units of q.k, with n = T(T+1)/2, or T(T-1)/2
    without the first key. Raises where raw is not square, a causal entry is not finite, or none is left.
    Introduced in lesson 4.

    >>> causal_scores(torch.tensor([[1.0, 9.0], [2.0, 3.0]]))
    array([1., 2., 3.])
    """
    values, visible = causal_square(raw, drop_first_key)
    return values[..., visible]


def describe_scores(scores):
    """ShiftStats of scores (..., n), numpy, as causal_scores gives them; those of several texts may be joined.

    Introduced in lesson 4.

    >>> describe_scores(np.array([-3.0, -1.0, 1.0])).fraction_negative.round(2)
    np.float64(0.67)
    """
    scores = finite_array(scores, "scores")
    expect(scores.ndim >= 1 and scores.shape[-1] >= 1, "scores", "at least one score (..., n)", f"shape {scores.shape}")
    return ShiftStats(
        n=np.full(scores.shape[:-1], scores.shape[-1]),
        mean=scores.mean(-1),
        median=np.median(scores, -1),
        std=scores.std(-1),
        fraction_negative=(scores < 0).mean(-1),
    )


def shift_stats(raw, drop_first_key=False):
    """The size of the shift, head by head, over only the causal entries of the raw scores.

    raw and drop_first_key as causal_scores takes them. Returns ShiftStats of shape (...): the number of scores, their
    mean, median and (population) standard deviation in units of q.k, and the fraction below zero.
    Introduced in lesson 4. Source: the report, which describes the shift.

    >>> stats = shift_stats(torch.tensor([[1.0, 9.0], [-2.0, -3.0]]))
    >>> stats.n.item(), stats.median.item(), stats.fraction_negative.round(2).item()
    (3, -2.0, 0.67)
    """
    return describe_scores(causal_scores(raw, drop_first_key))


def count_negative(raw, drop_first_key=False):
    """How many scores of each row are below zero, and how many scores the row has.

    raw (..., T, T). Returns numpy whole numbers (..., query) and (query,): causal entries only, without column 0
    where drop_first_key is set (then without row 0, which has no other key). Raises as shift_stats does.
    Introduced in lesson 4.

    >>> count_negative(torch.tensor([[1.0, 9.0], [-2.0, -3.0]]))
    (array([0, 2]), array([1, 2]))
    """
    values, visible = causal_square(raw, drop_first_key)
    rows = visible.any(-1)
    return ((values < 0) & visible).sum(-1)[..., rows], visible.sum(-1)[rows]


def bootstrap_fraction(n_negative, n_scores, level=0.95, n_resamples=2000, seed=0):
    """Confidence interval of a fraction from resampled rows, because scores of a row share a query and are dependent.

    n_negative (..., rows) and n_scores (rows,), as count_negative gives them; rows of several texts may be joined, and
    another unit, such as heads, may take the place of rows. Returns (low, high), numpy arrays of shape (...): the
    percentile interval of sum(n_negative) / sum(n_scores) when whole rows are drawn with replacement. Raises where the
    counts do not fit each other.
    Introduced in lesson 4. Source: Efron and Tibshirani 1993, chapter 13; rows as the unit, as in a cluster bootstrap.

    >>> low, high = bootstrap_fraction(n_negative=[1, 2, 2, 4], n_scores=[1, 2, 3, 4])
    >>> round(low.item(), 2), round(high.item(), 2)
    (0.73, 1.0)
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
    (...). Raises where the two do not match, or where level or n_resamples are out of range.
    Introduced in lesson 4. Source: as bootstrap_fraction.

    >>> low, high = bootstrap_ratio(sums=[2.0, 3.0, 7.0], sizes=[1.0, 1.0, 2.0])
    >>> round(low.item(), 2), round(high.item(), 2)
    (2.0, 3.5)
    """
    sums, sizes = (finite_array(x, name) for x, name in ((sums, "sums"), (sizes, "sizes")))
    fits = sizes.ndim == 1 and sizes.size >= 2 and sizes.min() >= 1 / LARGEST
    expect(fits, "sizes", "at least two numbers above 0 (units,)", f"{sizes} of shape {sizes.shape}")
    expect(sums.shape[-1:] == sizes.shape, "sums", f"(..., {sizes.size}) units", f"shape {sums.shape}")
    level = expect_number(level, "level", "a confidence level between 0 and 1")
    expect(0 < level < 1, "level", "a confidence level between 0 and 1", level)
    n_resamples = expect_whole(n_resamples, "n_resamples", "a whole number from 1 to 100000")
    expect(1 <= n_resamples <= 100_000, "n_resamples", "a whole number from 1 to 100000", n_resamples)
    seed = expect_whole(seed, "seed", "a whole number >= 0")
    expect(seed >= 0, "seed", "a whole number >= 0", seed)
    # How often each unit was drawn, instead of which units: the same resamples, in one matrix product for each batch.
    n_units = len(sizes)
    generator, shares = np.random.default_rng(seed), np.full(len(sizes), 1 / len(sizes))
    ratios = []
    for start in range(0, n_resamples, batch := max(1, MOST_DRAWN // n_units)):
        drawn = generator.multinomial(n_units, shares, size=min(batch, n_resamples - start))
        ratios.append(sums @ drawn.T / (drawn @ sizes))
    low, high = np.quantile(np.concatenate(ratios, -1), [(1 - level) / 2, (1 + level) / 2], axis=-1)
    return low, high


def gpt2_reference():
    """What this package's functions measured on recordings of GPT-2 small: a dictionary of numpy arrays.

    Raw scores are in units of q.k; (12, 12, ...) are layer and head. All texts are short: a figure holds for their 6 to
    17 tokens, and where a longer text is measured its name says so.

    Six prompts of 6 to 9 tokens: `prompts` (6,), their texts, and `n_tokens` (6,). Over the causal raw scores of the
    first five together: `n` (12, 12), `mean`, `std`, `median`, `fraction_negative`; `quantiles` (12, 12, 5) at
    `quantile_levels`; `histogram` (12, 12, bins), counts between the whole numbers `edges` (bins + 1,); `n_negative`
    (12, 12, rows) and `n_scores` (rows,), the counts of each row, prompt after prompt. The same names with
    `_no_first_key`: without column 0 (no quantiles). `layer_quantiles` (12, 5), of a layer's 12 heads.

    Over the queries from the third on of the same five: `spread` and `gap` (row_contrast), `effective_tokens`,
    `top_share`, `first_share`, `previous_share` (share of the largest, the first and the previous key) and
    `mean_step_back` (tokens from query back to key); `share_above` (12, 12, 8), the share of the pairs whose attention
    reaches each of `share_levels`, and `share_above_no_first_key`, of the pairs without the first key when its share
    has been given to the others; `large_weights` (4, 12, 12), how many weights of 0.5 and more a query has on each kind
    of key of `large_weight_names` (those of LargeWeights).

    Prompt by prompt, over a layer's scores, `prompt_median` and `prompt_fraction_negative` (6, 12); head by head
    `prompt_profiles` (6, 7, 12, 12), the statistics `profile_names` (those of Profile in lesson 7).

    Ten texts, the six prompts and four of 11 or 12 tokens: `texts` (10,), `text_n_tokens` (10,), and (10, 12, 12)
    `text_fraction_negative`, `text_below_first_key`, `text_below_row_mean`, `text_first_share`,
    `text_effective_tokens`, `text_spread`, `text_gap`; `text_n_negative` (10, 12, 12), by text, layer and row, how many
    of the 12 * (row + 1) scores of its heads are negative (0 past the text's end).

    Query by query, means over all 144 heads, NaN past the text's end: `query_names` (15,), the ten texts and the names
    of five whose patterns alone were recorded, up to 17 tokens; `query_first_share` and `query_effective_tokens`
    (15, 17); `query_bos` (15,), which begin with a BOS token. The same for single layers and heads of longer texts, up
    to 101 tokens: `single_names`, `single_bos`, `single_first_share`, `single_effective_tokens`; the names say which
    layer ("natural_language.l0") or head ("l10h7", the mean of 41 texts).

    Of the sixth prompt, whose layer inputs are recorded: its `tokens` (9,); in the three conventions `fold_names`
    ("none", "layer_norm", "mean") and for each of `term_names` (those of ScoreTerms) `term_mean` (3, 12, 4), over a
    layer's causal pairs, `term_spread` and `term_gap` (3, 12, 12, 4); `term_of_key` (3, 12, 12, 9, 2), how far content
    and query bias of each key stand over the first key's; `first_share_without` and `effective_tokens_without`
    (3, 5, 12, 12), from the third query on, when nothing (the first entry) or one of the terms is removed;
    `pattern_change_without` (3, 5), the largest change of any share. `input_length` (12, 9) and `input_cosine`
    (12, 9, 9), of what enters c_attn. Of the weights: `position_length` (1024,), of wpe's rows, and `bias_length`
    (3, 12, 12), of each head's query, key and value bias.
    Introduced in lesson 4. Source: tools/measure_gpt2_reference.py.

    >>> gpt2_reference()["fraction_negative"].mean().round(3)
    np.float32(0.698)
    """
    with np.load(REFERENCE) as file:
        return dict(file)


def causal_square(raw, drop_first_key=False):
    """The raw scores as float64 (..., T, T), with 0 where they do not count, and which entries (T, T) count.

    raw and drop_first_key as causal_scores takes them. Returns two numpy arrays. Raises as causal_scores does.
    Introduced in lesson 4.

    >>> values, visible = causal_square(torch.tensor([[1.0, 9.0], [-2.0, -3.0]]))
    >>> values
    array([[ 1.,  0.],
           [-2., -3.]])
    """
    expect_square(raw, "raw")
    expect_flag(drop_first_key, "drop_first_key")
    visible = causal_mask(raw.shape[-1])
    visible[:, 0] &= not drop_first_key
    expect(visible.any(), "raw", "at least two tokens where the first key is dropped", f"shape {tuple(raw.shape)}")
    values = raw.detach().cpu().double().masked_fill(~visible, 0.0)
    expect_finite(values, "raw")
    expect((values.abs() <= LARGEST).all(), "raw", f"scores up to {LARGEST:.0e} in size", "one beyond")
    return values.numpy(), visible.numpy()
