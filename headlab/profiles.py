"""Lesson 7: how the scores and the attention of the heads change from the first layer to the last."""

from typing import NamedTuple

import numpy as np
import torch

from headlab._expect import (
    MOST_POINTS,
    expect,
    expect_flag,
    expect_list,
    expect_points,
    expect_square,
    finite_array,
    shown,
)
from headlab.contrast import effective_tokens, row_contrast
from headlab.density import POINTS, fine_kde
from headlab.masking import causal_mask
from headlab.shift import bootstrap_ratio, shift_stats


class QueryProfile(NamedTuple):
    """What each query from the third on does with its attention, numpy arrays (..., T - 2)."""

    effective_tokens: np.ndarray
    top_share: np.ndarray
    first_share: np.ndarray
    previous_share: np.ndarray
    mean_step_back: np.ndarray


class Profile(NamedTuple):
    """Seven statistics of heads, numpy arrays of the leading shape (...), such as (head,) or (layer, head)."""

    median: np.ndarray
    fraction_negative: np.ndarray
    spread: np.ndarray
    effective_tokens: np.ndarray
    first_share: np.ndarray
    previous_share: np.ndarray
    mean_step_back: np.ndarray


class VarianceShares(NamedTuple):
    """Where the variance of a statistic comes from: four shares that sum to 1."""

    layer: float
    head: float
    text: float
    rest: float


def query_profile(pattern):
    """What each query does with its attention, from the third on: the first two have hardly a choice.

    pattern (..., query, key), T >= 3. Returns QueryProfile, each (..., T - 2): the effective number of tokens; the
    share of the largest, of the first and of the previous key; and the mean step back, from query to key, in tokens.
    Raises where pattern is not square or its rows are not shares that sum to 1.
    Introduced in lesson 7.
    """
    later = _from_third_query(pattern)
    position = torch.arange(pattern.shape[-1], device="cpu")
    steps = position[2:, None] - position  # (query, key)
    return QueryProfile(
        effective_tokens=effective_tokens(later),
        top_share=later.amax(-1).numpy(),
        first_share=later[..., 0].numpy(),
        previous_share=later.diagonal(1, -2, -1).numpy(),
        mean_step_back=(later * steps).sum(-1).numpy(),
    )


def head_profile(raw, pattern):
    """The seven statistics of each head on one text.

    raw (..., T, T), raw scores, and pattern (..., T, T), the attention that came of them. Returns Profile of shape
    (...): over the causal scores, their median and the fraction below zero; over the queries from the third on, the
    mean spread (standard deviation) of a row's scores, effective tokens, shares on the first and the previous key, and
    step back in tokens. Scores are in units of q.k. Raises where the shapes differ or T < 3.
    Introduced in lesson 7. Source: the report, which names the laminar profile.
    """
    queries = query_profile(pattern)
    expect_square(raw, "raw")
    expect(raw.shape == pattern.shape, "raw", f"the shape of pattern {tuple(pattern.shape)}", tuple(raw.shape))
    stats = shift_stats(raw)
    means = {name: getattr(queries, name).mean(-1) for name in Profile._fields[3:]}
    return Profile(stats.median, stats.fraction_negative, row_contrast(raw).spread, **means)


def laminar_profile(capture):
    """The seven statistics of every captured head: Profile of shape (captured layer, head).

    capture: what `capture_heads` returns for one text of at least 3 tokens; raises where it is something else. Holds
    one layer's scores at a time.
    Introduced in lesson 7. Source: the report, which names the laminar profile.
    """
    if not all(hasattr(capture, name) for name in ("layers", "scores", "pattern")):
        raise TypeError(f"capture: expected a HeadCapture, as capture_heads gives, got {shown(repr(capture))}")
    layers = [head_profile(capture.scores(layer), capture.pattern(layer)) for layer in capture.layers]
    return Profile(*(np.stack(values) for values in zip(*layers, strict=True)))


def without_first_key(pattern):
    """The pattern that is left when nobody may look at the first token: (..., T - 1, T - 1), rows summing to 1 again.

    pattern (..., T, T), T >= 2. The others keep their proportions, so it is also the pattern of the scores without the
    first key. Raises where a query looks at nothing but the first token.
    Introduced in lesson 7.
    """
    _expect_shares(pattern, at_least=2)
    others = pattern[..., 1:, 1:]
    sums = others.sum(-1, keepdim=True)
    expect((sums > 0).all(), "pattern", "queries that look at some other key too", "one with all on the first")
    return others / sums


def share_above(pattern, levels, drop_first_key=False):
    """Of all (query, key) pairs, the share whose attention is at least so high, for each level.

    pattern (..., T, T), T >= 3; levels (level,), shares of 1; pairs are causal, of the queries from the third on,
    without those of the first key where drop_first_key is set. Returns numpy (..., level). At most one pair of a row
    can reach more than 0.5, so compare texts of one length only. Raises where rows are not shares that sum to 1.
    Introduced in lesson 7.
    """
    later = _from_third_query(pattern)
    levels = finite_array(levels, "levels")
    expect(levels.ndim == 1 and levels.size >= 1, "levels", "at least one share (level,)", f"shape {levels.shape}")
    expect_flag(drop_first_key, "drop_first_key")
    visible = causal_mask(pattern.shape[-1])[2:]
    visible[:, 0] &= not drop_first_key
    weights = later[..., visible]
    return np.stack([(weights >= level).double().mean(-1).numpy() for level in levels], -1)


def layer_densities(scores, n_grid=None, bandwidth="scott"):
    """The density of each layer's scores on one grid for all, so that layers can be compared.

    scores: for each layer the causal scores of all its heads, an array or tensor of any shape (or for each head its
    own, where heads are to be compared); bandwidth as in `fast_kde`, a rule chooses for each layer by itself; n_grid:
    points of the grid, by default 512, or twice as many again and again until the narrowest layer shows. Returns the
    grid (n_grid,), which holds the grids that `fast_kde` gives for each layer, in units of q.k, and numpy
    (layer, n_grid). Raises as `fast_kde` does, and where n_grid points, or MOST_POINTS, would lose the narrowest layer.
    Introduced in lesson 7. Source: the report; lesson 6 for the density.
    """
    scores = expect_list(scores, "scores", "those of each layer")
    least, most = (POINTS, MOST_POINTS) if n_grid is None else (expect_points(n_grid),) * 2
    curves = [fine_kde(layer, max(least, 4096), bandwidth) for layer in scores]
    low, high = min(x[0] for x, _ in curves), max(x[-1] for x, _ in curves)
    for n in _doubling(least, most):
        grid = np.linspace(low, high, n)
        densities = np.stack([np.interp(grid, x, density, left=0.0, right=0.0) for x, density in curves])
        if np.abs(np.trapezoid(densities, grid) - 1).max() <= 0.01:
            return grid, densities
    raise ValueError(f"n_grid: expected points enough to show the narrowest layer, got {n}, too few")


def _doubling(n, most):
    while n <= most:
        yield n
        n *= 2


def bootstrap_mean(values, level=0.95, n_resamples=2000, seed=0):
    """Confidence interval of the mean over texts, from resampled texts.

    values (text, ...), one number for each text, of at least two. Returns (low, high), numpy of shape (...): the
    percentile interval when whole texts are drawn with replacement. It speaks of texts like these; with few of them
    it is too narrow.
    Introduced in lesson 7. Source: Efron and Tibshirani 1993, chapter 13.
    """
    values = finite_array(values, "values")
    expect(values.ndim >= 1 and len(values) >= 2, "values", "at least two texts (text, ...)", f"shape {values.shape}")
    return bootstrap_ratio(np.moveaxis(values, 0, -1), np.ones(len(values)), level, n_resamples, seed)


def variance_shares(values):
    """How much of a statistic's variance goes with the layer, the head within it, the text, and with none alone.

    values (text, layer, head), at least two of each and not all equal. Returns VarianceShares, which sum to 1: of the
    layers' means, of the heads' means about their layer's, of the texts' means, and the rest, what a head does on one
    text but not on another (and chance).
    Introduced in lesson 7. Source: Fisher 1925, analysis of variance (a layout with one value in each cell).
    """
    values = finite_array(values, "values")
    fits = values.ndim == 3 and min(values.shape) >= 2
    expect(fits, "values", "(text, layer, head), at least two of each", f"shape {values.shape}")
    centred = values - values.mean()
    total = (centred**2).mean()
    expect(total > 1e-20 * np.abs(values).max() ** 2, "values", "numbers that differ", "all the same")
    heads = centred.mean(0)  # (layer, head)
    layers = heads.mean(1)
    layer, text = (layers**2).mean() / total, (centred.mean((1, 2)) ** 2).mean() / total
    head = ((heads - layers[:, None]) ** 2).mean() / total
    return VarianceShares(float(layer), float(head), float(text), float(1 - layer - head - text))


def _from_third_query(pattern):
    """The checked rows of a pattern from the third on, float64 (..., T - 2, T)."""
    _expect_shares(pattern, at_least=3)
    return pattern.detach().cpu().double()[..., 2:, :]


def _expect_shares(pattern, at_least):
    """Raise unless pattern (..., T, T) holds causal rows of shares that sum to 1 (effective_tokens looks at these)."""
    expect_square(pattern, "pattern")
    expect(pattern.shape[-1] >= at_least, "pattern", f"at least {at_least} tokens (..., T, T)", tuple(pattern.shape))
    effective_tokens(pattern)
    expect(not pattern.triu(1).any(), "pattern", "shares of 0 in the future (mask the scores first)", "others")
